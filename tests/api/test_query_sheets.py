"""What is on the pictures of a query: sheets come apart as the corpus' do, and blank pictures are no query."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from sqlalchemy import Engine

from linework_api import worker
from linework_api.app import create_app
from linework_core import encoders
from linework_core.db import transaction
from linework_core.imaging import encode_png
from linework_core.jobs import runner, service
from linework_core.settings import Settings, get_settings
from linework_core.store import get_store
from linework_embedder.app import create_app as create_embedder
from linework_embedder.bulk import BulkEmbedder
from linework_vision import load as load_encoder
from tests.api.conftest import problem_of
from tests.api.serving import serving
from tests.api.test_split_sheets import BOTH, FIRST, SHAPES, package
from tests.sheets.drawn import page

PATENT = "USD0907292-20210105"
SINGLE = f"{PATENT}-D00001_1"
UPPER, LOWER = f"{PATENT}-D00002_2", f"{PATENT}-D00002_3"


def upper() -> Image.Image:
    """The sheet of two figures, the lower one of another shape, so that each finds itself."""
    sheet = BOTH.copy()
    ImageDraw.Draw(sheet).line((250, 1350, 1450, 2050), fill=0, width=25)
    return sheet


SHEET = upper()


@pytest.fixture
def client(
    environment: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, fresh_worker: None
) -> Iterator[TestClient]:
    """A gateway over a patent with three figures on two sheets, embedded by HOG."""
    with transaction(engine) as session:
        encoders.ensure_active(session, load_encoder("hog").manifest)
    socket = Path(environment.embedder_url.removeprefix("unix://"))
    with serving(create_embedder(), socket=socket), TestClient(create_app(), raise_server_exceptions=False) as opened:
        job = opened.post("/ingest", files={"file": ("package.zip", package(FIRST, SHEET))}).json()
        runner.run_job(UUID(job["id"]), worker._ingest)
        with transaction(engine) as session:
            embed = service.ensure_embed_job(session, encoders.active(session)).id
        runner.run_job(embed, BulkEmbedder(environment, get_store()))
        yield opened


def post(client: TestClient, *pictures: Image.Image, **form: Any) -> Any:
    files = [("image", ("query", encode_png(picture))) for picture in pictures]
    return client.post("/search", files=files, data=form)


def scores(answer: Any) -> dict[str, float]:
    return {hit["drawing"]["id"]: hit["score"] for hit in answer.raise_for_status().json()["hits"]}


def parts(answer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.raise_for_status().json()["query"]["parts"]
    return found


def test_each_figure_of_a_query_sheet_finds_itself(client: TestClient) -> None:
    whole, split = post(client, SHEET, split="no"), post(client, SHEET)
    for drawing in (UPPER, LOWER):
        assert scores(split)[drawing] == pytest.approx(1.0, abs=1e-3)
        assert scores(whole)[drawing] < 0.9
    assert [(part["image"], part["label"]) for part in parts(split)] == [(1, "FIG. 2"), (1, "FIG. 3")]
    assert [(part["image"], part["box"], part["label"]) for part in parts(whole)] == [(1, [0, 0, 1, 1], None)]


def test_a_sheet_of_one_figure_is_searched_without_its_label_and_upright(client: TestClient) -> None:
    for turned, sheet in ((0, FIRST), (90, FIRST.rotate(90, expand=True))):
        answer = post(client, sheet)
        assert scores(answer)[SINGLE] == pytest.approx(1.0, abs=0.02)
        assert [(part["label"], part["turned"]) for part in parts(answer)] == [("FIG. 1", turned)]


def test_the_box_of_a_part_is_a_crop_that_finds_the_same(client: TestClient) -> None:
    box = parts(post(client, SHEET))[1]["box"]
    cropped = post(client, SHEET, crop=",".join(map(str, box)))
    assert scores(cropped)[LOWER] == pytest.approx(1.0, abs=0.02)
    assert [part["box"] for part in parts(cropped)] == [pytest.approx(box)]
    assert parts(cropped)[0]["label"] is None


def test_a_crop_names_the_drawing_and_what_is_in_it_is_not_split(client: TestClient) -> None:
    assert len(parts(post(client, SHEET, crop="0,0,1,0.99"))) == 1


def test_a_picture_without_labels_is_searched_as_it_is(client: TestClient) -> None:
    picture = page([], SHAPES[:1])
    assert scores(post(client, picture)) == scores(post(client, picture, split="no"))
    assert parts(post(client, picture)) == parts(post(client, picture, split="no"))


def test_a_sheet_that_cannot_be_separated_stays_whole_and_says_so(client: TestClient) -> None:
    touching = page([("FIG. 2", 700, 960), ("FIG. 3", 700, 2160)], [*SHAPES, (1400, 500, 1500, 2100)])
    assert [part["reason"] for part in parts(post(client, touching))] == ["not-separable"]


def test_where_the_corpus_is_not_split_neither_is_the_query(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLIT_SHEETS", "false")
    get_settings.cache_clear()
    with TestClient(create_app()) as other:
        assert [part["box"] for part in parts(post(other, SHEET))] == [[0, 0, 1, 1]]


def test_the_record_tells_the_parts_and_replays_them(client: TestClient) -> None:
    answer = post(client, SHEET, FIRST).raise_for_status().json()
    assert [part["image"] for part in answer["query"]["parts"]] == [1, 1, 2]
    record = client.get(f"/searches/{answer['search_id']}").json()
    assert record["answer"]["query"] == answer["query"]
    assert len(record["request"]["images"]) == 3
    replay = client.post(f"/searches/{answer['search_id']}/replay").json()
    assert (replay["same"], replay["answer"]["query"]) == (True, answer["query"])


def test_a_query_has_so_many_drawings(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linework_api.search.pictures.MOST_DRAWINGS", 3)
    assert post(client, SHEET, FIRST).status_code == 200
    problem = problem_of(post(client, SHEET, SHEET), 422, "invalid-request")
    assert "split=no" in problem["detail"]
    assert post(client, SHEET, SHEET, split="no").status_code == 200


def test_a_batch_of_pictures_is_split_as_single_queries_are(client: TestClient) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sheet.png", encode_png(SHEET))
        file.writestr("white.png", encode_png(Image.new("L", (300, 300), 255)))
    for split, number in (("auto", 2), ("no", 1)):
        options = {"before": "2030-01-01", "split": split}
        job = client.post("/search/batch", params=options, files={"file": ("b.zip", archive.getvalue())}).json()
        worker.search(job["id"])
        sheet, white = client.get(f"/search/batch/{job['id']}").json()["queries"]
        assert len(sheet["answer"]["query"]["parts"]) == number
        assert (white["state"], white["reason"]) == ("set-aside", "nothing-drawn")


def test_pictures_without_a_drawing_are_no_query(client: TestClient) -> None:
    white = Image.new("L", (600, 400), 255)
    dot = white.copy()
    dot.paste(0, (300, 200, 304, 204))
    black, grey = Image.new("L", (600, 400), 0), Image.new("L", (600, 400), 140)
    for blank in (white, dot, black, grey):
        for split in ("auto", "no"):
            problem = problem_of(post(client, SHEET, blank, split=split), 422, "nothing-drawn")
            assert problem["image"] == 2
    problem_of(post(client, SHEET, crop="0,0,0.1,0.02"), 422, "nothing-drawn")
