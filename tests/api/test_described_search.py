"""Search by what descriptions say: by their words, by their vectors, each on its own snapshot."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from linework_api.search import finding, scoring
from linework_core import encoders, nearest, vector_index
from linework_core.corpus import close_patent, current_snapshot, next_snapshot, open_patent
from linework_core.scope import Scope
from linework_core.settings import Settings
from linework_core.tables import Description, DescriptionVector, Drawing, Encoder
from linework_embedder.app import create_app as create_embedder
from linework_vision import load as load_encoder
from tests.api.conftest import Design, load, unit
from tests.api.serving import serving
from tests.api.test_search import ids, search
from tests.descriptions import describe

SPEC = "debug:8;text=true"
LAMP, CHAIR, BOTTLE = "USD0000001-S_1", "USD0000002-S_1", "USD0000003-S_1"


def add_designs(session: Session, encoder: Encoder) -> None:
    titles = {"USD0000001": "Lamp", "USD0000002": "Chair", "USD0000003": "Bottle"}
    load(session, encoder, [Design(name, [unit(n)], title=title) for n, (name, title) in enumerate(titles.items())])


def text_scores(answer: dict[str, Any]) -> dict[str, float]:
    return {hit["drawing"]["id"]: hit["scores"]["text"] for hit in answer["hits"]}


# ---- words


def test_a_word_that_only_a_description_has_finds_the_drawing(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    add_designs(session, encoder)
    assert set(text_scores(search(client, q="luminaire")).values()) == {0.0}
    describe(session, LAMP, "A lamp.", "A luminaire with a conical shade.")
    answer = search(client, q="luminaires")
    assert ids(answer)[0] == LAMP
    assert answer["eligible"] == 3  # a matter of filters alone
    scores = text_scores(answer)
    assert scores[LAMP] > scores[CHAIR] == scores[BOTTLE] == 0.0


def test_a_title_counts_more_than_a_description_however_often_it_repeats(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    add_designs(session, encoder)
    describe(session, CHAIR, *[f"A lamp, said {n} times: lamp lamp lamp." for n in range(20)])
    assert ids(search(client, q="lamp")) == [LAMP, CHAIR, BOTTLE]


def test_words_of_both_sides_add_up(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001", title="Lamp"), Design("USD0000002", title="Lamp")])
    describe(session, CHAIR, "It has a conical shade.")
    assert ids(search(client, q="conical lamp")) == [CHAIR, LAMP]


def test_a_description_is_not_read_before_its_snapshot_nor_after_its_last(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    add_designs(session, encoder)
    before = search(client, q="luminaire")
    describe(session, LAMP, "A luminaire.", recipe="first")
    between = search(client, q="luminaire")
    describe(session, LAMP, "A lantern.", recipe="second")
    after = search(client, q="luminaire")
    assert [text_scores(answer)[LAMP] > 0 for answer in (before, between, after)] == [False, True, False]
    for answer in (before, between, after):
        replayed = client.post(f"/searches/{answer['search_id']}/replay").json()
        assert replayed["same"], replayed
        assert replayed["answer"]["hits"] == answer["hits"]


@pytest.mark.parametrize("params", [{}, {"group_by": "patent"}])
def test_pages_stay_as_they_began_while_drawings_are_described(
    client: TestClient, session: Session, encoder: Encoder, params: dict[str, str]
) -> None:
    load(session, encoder, [Design(f"USD002{n:04}", title="Lamp" if n % 2 else "Chair") for n in range(8)])
    describe(session, "USD0020000-S_1", "A luminaire.")
    whole = ids(search(client, q="luminaire lamp", limit=100, **params))
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = search(client, q="luminaire lamp", limit=3, **params, **cursor)
        found += ids(answer)
        if answer["next"] is None:
            break
        describe(session, f"USD002{len(found):04}-S_1", "A luminaire, a lamp, a luminaire.")
        cursor = {"cursor": answer["next"]}
    assert found == whole


def test_a_withdrawn_patent_does_not_come_back_by_its_descriptions(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    add_designs(session, encoder)
    describe(session, LAMP, "A luminaire.")
    kept = search(client, q="luminaire")
    patent = open_patent(session, "USD0000001")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    answer = search(client, q="luminaire")
    assert LAMP not in ids(answer)
    assert answer["eligible"] == 2
    replayed = client.post(f"/searches/{kept['search_id']}/replay").json()
    assert (replayed["same"], ids(replayed["answer"])[0]) == (True, LAMP)


def test_a_large_corpus_is_searched_by_candidates_of_either_words(
    client: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "SCAN_AT_MOST", 10)
    load(session, encoder, [Design(f"USD001{n:04}", [unit(n)], title="Chair") for n in range(40)])
    add_designs(session, encoder)
    describe(session, BOTTLE, "It could be a lamp.")
    describe(session, "USD0010007-S_1", "A lamp, or a luminaire.")
    answer = search(client, q="luminaire lamp", limit=3, explain=True)
    assert (answer["plan"]["way"], answer["exact"]) == ("candidates", False)
    assert ids(answer) == ids(search(client, q="luminaire lamp", limit=3, mode="exact"))


# ---- vectors


@pytest.fixture
def reader(session: Session, environment: Settings) -> Any:
    """An active encoder with a text tower, and an online embedder that embeds queries by it."""
    made = encoders.ensure_active(session, load_encoder(SPEC).manifest)
    session.commit()
    with serving(create_embedder(), socket=Path(environment.embedder_url.removeprefix("unix://"))):
        yield made


def vector_of(text: str) -> np.ndarray:
    return load_encoder(SPEC).encode_texts([text])[0]


def tell(session: Session, encoder: Encoder, drawing_id: str, text: str) -> int:
    """A description and its vector, as the enricher and the embedder would write them."""
    describe(session, drawing_id, text, recipe=text)
    row = session.query(Description).filter_by(drawing_id=drawing_id, removed_in=None).one()
    snapshot = next_snapshot(session)
    session.query(DescriptionVector).filter_by(drawing_row=row.drawing_row, removed_in=None).update(
        {"removed_in": snapshot}
    )
    session.add(
        DescriptionVector(
            encoder=encoder.number, drawing_row=row.drawing_row, description=row.id, vector=vector_of(text),
            added_in=snapshot,
        )
    )  # fmt: skip
    session.commit()
    return snapshot


def test_the_score_of_a_text_is_the_stated_one(client: TestClient, session: Session, reader: Encoder) -> None:
    add_designs(session, reader)
    tell(session, reader, LAMP, "a thing that gives light")
    scores = text_scores(search(client, q="a luminaire"))
    asked, told = vector_of("a luminaire"), vector_of("a thing that gives light")
    shown = float(asked @ np.array(unit(0)))
    assert scores[LAMP] == pytest.approx((0.0 + (shown + float(asked @ told)) / 2) / 2, abs=2e-3)  # halfvec
    assert scores[CHAIR] == pytest.approx((0.0 + float(asked @ np.array(unit(1)))) / 2, abs=2e-3)


def test_a_description_that_means_the_query_finds_the_drawing(
    client: TestClient, session: Session, reader: Encoder
) -> None:
    load(session, reader, [Design(f"USD001{n:04}", [unit(0)]) for n in range(6)])
    tell(session, reader, "USD0010003-S_1", "of the shade")  # stop words aside it has one word …
    session.query(Description).update({"words": ""})  # … and here none: its vector alone counts
    session.commit()
    answer = search(client, q="of the shade")
    assert ids(answer)[0] == "USD0010003-S_1"
    assert answer["eligible"] == 6


def test_a_search_is_replayed_with_the_vectors_of_its_day(
    client: TestClient, session: Session, reader: Encoder
) -> None:
    add_designs(session, reader)
    answers = [search(client, q="a luminaire")]
    for text in ("a thing that gives light", "a luminaire", "something else"):
        tell(session, reader, LAMP, text)
        answers.append(search(client, q="a luminaire"))
    assert len({text_scores(answer)[LAMP] for answer in answers}) == 4
    for answer in answers:
        assert client.post(f"/searches/{answer['search_id']}/replay").json()["same"]


def test_a_graph_over_description_vectors_finds_what_a_scan_finds(
    client: TestClient, session: Session, engine: Engine, reader: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "SCANNED_ROWS", 30)
    monkeypatch.setattr(finding, "SCAN_AT_MOST", 10)
    monkeypatch.setattr(finding, "AT_LEAST", 12)
    load(session, reader, [Design(f"USD001{n:04}", [unit(n)]) for n in range(60)])
    for n in range(60):
        tell(session, reader, f"USD001{n:04}-S_1", f"thing {n}")
    vector_index.build_for_descriptions(engine, reader)
    nearest.tune(engine)
    asked, scope = vector_of("thing 7"), Scope(current_snapshot(session))
    nearest_five = sorted(range(60), key=lambda n: -float(asked @ vector_of(f"thing {n}")))[:5]
    drawings = {drawing.row_id: drawing.drawing_id for drawing in session.scalars(select(Drawing))}
    found = scoring.best_by_descriptions(session, reader, asked, scope, 5)
    assert [drawings[row] for row in found] == [f"USD001{n:04}-S_1" for n in nearest_five]
    nobody = Scope(current_snapshot(session), office=("EM",))
    assert scoring.best_by_descriptions(session, reader, asked, nobody, 5) == []
    answer = search(client, q="thing 7", limit=3, explain=True)
    assert (answer["plan"]["way"], ids(answer)[0]) == ("candidates", "USD0010007-S_1")
