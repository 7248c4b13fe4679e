"""Reading the corpus: patents, drawings, pictures, and what is loaded."""

import datetime as dt
import io
import re
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageOps
from sqlalchemy.orm import Session

from linework_api.corpus.endpoints import gaps
from linework_core import encoders, store
from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.imaging import encode_png
from linework_core.manifest import EncoderManifest
from linework_core.settings import Settings
from linework_core.tables import Citation, Drawing, EmbedFailure, Encoder, Figure, Package, Patent, SetAside
from tests.api.conftest import DIMENSION, Design, draw, load, problem_of, store_pictures, unit


def picture(response: Any) -> Image.Image:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert int(response.headers["content-length"]) == len(response.content)
    return Image.open(io.BytesIO(response.content))


# ---- patents and drawings ----------------------------------------------------------------------------------


def test_a_patent_is_read_with_all_that_belongs_to_it(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1), unit(2)], family=("US29000001",))])
    patent = open_patent(session, "USD0000001")
    assert patent is not None
    cited = {"number": "USD428532", "raw_number": "D428532", "office": "US", "date": "1986-11"}
    session.add(Citation(patent_row=patent.row_id, category="cited by examiner", **cited))
    session.commit()
    read = client.get("/patents/USD0000001").json()
    assert read["drawings"] == ["USD0000001-S_1", "USD0000001-S_2"]
    assert read["granted"] == "2015-01-06"
    assert [figure["label"] for figure in read["figures"]] == ["FIG. 1"]
    assert [sheet["id"] for sheet in read["sheets"]] == ["USD0000001-S"]
    assert [cited | citation for citation in read["citations"]] == read["citations"]


def test_a_drawing_has_its_figure_only_where_that_is_certain(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1), unit(2)])])
    certain, uncertain = (client.get(f"/drawings/USD0000001-S_{n}").json() for n in (1, 2))
    assert (certain["figure"]["label"], certain["candidates"]) == ("FIG. 1", [])
    assert (uncertain["figure"], [one["label"] for one in uncertain["candidates"]]) == (None, ["FIG. 1"])
    assert client.get(certain["image"]).status_code == 404  # no picture was stored
    assert (certain["patent"], certain["sheet"], certain["number"]) == ("USD0000001", "USD0000001-S", 1)


@pytest.mark.parametrize("path", ["/patents/USD0000009", "/drawings/USD0000001-S_9", "/drawings/USD0000001-S_9/image"])
def test_what_is_not_there_is_a_404(client: TestClient, session: Session, encoder: Encoder, path: str) -> None:
    load(session, encoder, [Design("USD0000001")])
    problem_of(client.get(path), 404, "not-found")


def test_a_copy_is_good_until_the_facts_change(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001")])
    store_pictures(session, original=draw(1000, 400))
    drawing = "/drawings/USD0000001-S_1"
    tags = []
    for path in ("/patents/USD0000001", drawing, *(f"{drawing}/image{size}" for size in ("", "?size=64", "?size=900"))):
        first = client.get(path)
        assert "no-cache" in first.headers["cache-control"]
        tag = first.headers["etag"]
        for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = client.get(path, headers={"If-None-Match": sent})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content
        tags.append(tag)
    assert len(set(tags)) == len(tags)


def test_a_corrected_patent_and_its_drawings_are_new_to_caches(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    paths = ["/patents/USD0000001", "/drawings/USD0000001-S_1"]
    load(session, encoder, [Design("USD0000001")])
    tags = [client.get(path).headers["etag"] for path in paths]
    patent = open_patent(session, "USD0000001")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    for path, tag in zip(paths, tags, strict=True):
        problem_of(client.get(path, headers={"If-None-Match": tag}), 404, "not-found")
    load(session, encoder, [Design("USD0000001", locarno="14-03")])
    for path, tag in zip(paths, tags, strict=True):
        assert client.get(path, headers={"If-None-Match": tag}).json()["locarno"] == "14-03"


# ---- pictures ----------------------------------------------------------------------------------------------


# of the original: what is asked for, and what is shown
SIZES: dict[tuple[int, int], dict[int | None, tuple[int, int]]] = {
    (2000, 1000): {
        None: (512, 256), 512: (512, 256), 128: (128, 64), 16: (16, 8), 513: (513, 256), 1500: (1500, 750),
        4096: (2000, 1000),
    },
    (300, 200): {None: (300, 200), 150: (150, 100), 400: (300, 200), 4096: (300, 200)},
    (3000, 20): {16: (16, 1), 4096: (3000, 20)},
}  # fmt: skip


def test_a_picture_is_as_large_as_asked_for_and_never_enlarged(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001")])
    for original, sizes in SIZES.items():
        store_pictures(session, original=draw(*original))
        for asked, (width, height) in sizes.items():
            shown = picture(client.get("/drawings/USD0000001-S_1/image", params={"size": asked} if asked else {}))
            assert shown.width == width
            assert abs(shown.height - height) <= 1


def test_a_picture_shows_dark_lines_on_white_at_any_size(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001")])
    plain = Image.open(io.BytesIO(draw(1000, 800)))
    originals = [
        ImageOps.invert(plain),
        Image.merge("LA", (Image.new("L", plain.size), ImageOps.invert(plain))),  # black, and transparent elsewhere
        Image.frombytes("I;16", plain.size, b"".join(bytes((grey, grey)) for grey in plain.tobytes())),
        plain.convert("1"),
    ]
    for original in originals:
        store_pictures(session, original=encode_png(original))
        for size in (100, 512, 900):
            shown = picture(client.get("/drawings/USD0000001-S_1/image", params={"size": size}))
            assert shown.mode == "L"
            assert shown.getpixel((0, 0)) == 255
            assert np.asarray(shown).min() < 200


@pytest.mark.parametrize("size", [0, 15, 4097, -1, "large"])
def test_a_size_that_makes_no_sense_is_refused(client: TestClient, size: Any) -> None:
    problem_of(client.get("/drawings/a/image", params={"size": size}), 422, "invalid-request")


def test_a_damaged_original_is_told_and_its_derivative_still_shown(
    client: TestClient, session: Session, encoder: Encoder, environment: Settings
) -> None:
    load(session, encoder, [Design("USD0000001")])
    store_pictures(session, original=draw(1000, 400))
    session.query(Drawing).update({"original": "1" * 64})
    session.commit()
    store.put_once(store.get_store(), store.original_key("1" * 64), draw(1000, 400)[:200])
    assert picture(client.get("/drawings/USD0000001-S_1/image?size=100")).size == (100, 40)
    problem_of(client.get("/drawings/USD0000001-S_1/image?size=1000"), 422, "unreadable-image")


# ---- what is loaded ----------------------------------------------------------------------------------------


def test_the_corpus_is_counted_as_it_stands_now(client: TestClient, session: Session, encoder: Encoder) -> None:
    designs = [
        Design("USD0000001", [unit(1), None], granted=dt.date(2011, 3, 1)),
        Design("USD0000002", [unit(2)], granted=dt.date(2019, 3, 5)),
        Design("USD0000003", [unit(3)], granted=dt.date(2001, 1, 2)),
        Design("LD3001", [None], granted=None, office="EM"),
    ]
    load(session, encoder, designs)
    patent = open_patent(session, "USD0000003")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    corpus = client.get("/corpus").json()
    assert (corpus["snapshot"], corpus["patents"], corpus["drawings"]) == (2, 3, 4)
    assert corpus["offices"] == [
        {"office": "EM", "patents": 1, "undated": 1, "first_granted": None, "last_granted": None},
        {"office": "US", "patents": 2, "undated": 0, "first_granted": "2011-03-01", "last_granted": "2019-03-05"},
    ]
    [index] = corpus["indexes"]
    assert (index["encoder"], index["state"], index["drawings"], index["indexed"]) == ("tiny-1", "active", 4, 2)


def test_every_index_tells_its_coverage_and_its_failures(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    other = EncoderManifest(
        id="other-1", name="other", spec="debug:9", content_hash="2" * 64, dimension=DIMENSION, has_text=False
    )
    second = encoders.register(session, other)
    load(session, encoder, [Design("USD0000001", [unit(1), unit(2)])])
    row = session.query(Drawing.row_id).order_by(Drawing.row_id).limit(1).scalar()
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    session.add(EmbedFailure(encoder=second.number, drawing_row=row, tries=1, reason="broken", next_try_at=later))
    session.commit()
    indexes = {index["encoder"]: index for index in client.get("/corpus").json()["indexes"]}
    assert {name: (index["state"], index["indexed"], index["failed"]) for name, index in indexes.items()} == {
        "tiny-1": ("active", 2, 0),
        "other-1": ("building", 0, 1),
    }
    assert [one["id"] for one in client.get("/encoders").json()["encoders"]] == ["tiny-1", "other-1"]
    problem_of(client.post("/encoders/other-1/activate"), 409, "conflict")
    assert client.get("/encoders/tiny-1").json()["state"] == "active"


def test_weeks_gaps_and_what_was_set_aside_are_told(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001")])
    job_id = session.query(Patent.job_id).limit(1).scalar()
    for number, day in enumerate([dt.date(2021, 1, 5), dt.date(2021, 1, 26), dt.date(2021, 1, 5)]):
        session.add(Package(name=f"I{number}.tar", source="uspto", week=day, job_id=job_id))
    session.add(Package(name="patents.json", source="deeppatent2", job_id=job_id))
    for record, reason in [("a", "bad-xml"), ("b", "bad-xml"), ("c", "unsafe-path")]:
        session.add(SetAside(job_id=job_id, package="I0.tar", record=record, reason=reason, detail="…"))
    session.commit()
    corpus = client.get("/corpus").json()
    assert corpus["weeks"] == ["2021-01-05", "2021-01-26"]
    assert corpus["gaps"] == [{"first": "2021-01-12", "last": "2021-01-19", "weeks": 2}]
    assert corpus["set_aside"] == {"bad-xml": 2, "unsafe-path": 1}


def test_an_empty_corpus_says_so(client: TestClient) -> None:
    corpus = client.get("/corpus").json()
    assert (corpus["snapshot"], corpus["patents"], corpus["drawings"]) == (0, 0, 0)
    assert corpus["weeks"] == corpus["gaps"] == corpus["offices"] == corpus["indexes"] == []


def tuesdays(*numbers: int) -> list[dt.date]:
    return [dt.date(2020, 1, 7) + dt.timedelta(weeks=number) for number in numbers]


@pytest.mark.parametrize(
    ("weeks", "missing"),
    [
        ([], []),
        ([0], []),
        ([0, 1, 2], []),
        ([0, 2], [(1, 1, 1)]),
        ([0, 5, 6, 9], [(1, 4, 4), (7, 8, 2)]),
    ],
)
def test_gaps_are_runs_of_missing_weeks(weeks: list[int], missing: list[tuple[int, int, int]]) -> None:
    found = [(gap.first, gap.last, gap.weeks) for gap in gaps(tuesdays(*weeks))]
    assert found == [(*tuesdays(first, last), count) for first, last, count in missing]


def test_a_week_a_day_late_is_no_gap() -> None:
    assert gaps([dt.date(2020, 12, 22), dt.date(2020, 12, 30), dt.date(2021, 1, 5)]) == []


def test_figures_of_other_patents_are_no_candidates(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1), unit(2)]), Design("USD0000002")])
    session.query(Figure).update({"caption": Figure.label})
    session.commit()
    assert len(client.get("/drawings/USD0000001-S_2").json()["candidates"]) == 1


def test_the_api_pages_need_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    for address in addresses:
        assert address.startswith("/"), address
        assert client.get(address).status_code == 200, address
