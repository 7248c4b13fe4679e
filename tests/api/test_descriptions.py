"""GET /drawings/{id}/descriptions: what was written about a drawing, and by what."""

from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.tables import Encoder
from tests.api.conftest import Design, load, problem_of
from tests.descriptions import describe

DRAWING = "USD0000001-S_1"


@pytest.fixture(autouse=True)
def patent(session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001"), Design("USD0000002")])


def read(client: TestClient, **params: Any) -> dict[str, Any]:
    response = client.get(f"/drawings/{DRAWING}/descriptions", params=params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_newest_set_comes_with_its_whole_provenance(client: TestClient, session: Session) -> None:
    describe(session, DRAWING, "An old text.")
    snapshot = describe(
        session, DRAWING, "A lamp.", "A luminaire.", recipe="second", provider="openai", model="m", captioner="c",
        tokens_in=7, tokens_out=9, cost=Decimal("0.0012"), latency_ms=250.0, calls=["k" * 64],
    )  # fmt: skip
    answer = read(client)
    assert answer["drawing"] == DRAWING
    [newest] = answer["sets"]
    assert newest["texts"] == [{"text": "A lamp.", "language": "en"}, {"text": "A luminaire.", "language": "en"}]
    told = ("provider", "model", "captioner", "prompt", "facts", "recipe", "tokens_in", "tokens_out", "cost")
    assert [newest[name] for name in told] == ["openai", "m", "c", "p" * 64, "f" * 64, "second", 7, 9, 0.0012]
    assert (newest["latency_ms"], newest["added_in"], newest["removed_in"]) == (250.0, snapshot, None)
    assert newest["job"]
    assert newest["created_at"]


def test_older_sets_come_by_paging_or_all_at_once(client: TestClient, session: Session) -> None:
    for number in range(5):
        describe(session, DRAWING, f"Text {number}.", recipe=str(number))
    everything = read(client, all=True)
    assert [one["recipe"] for one in everything["sets"]] == ["4", "3", "2", "1", "0"]
    assert everything["next"] is None
    assert [one["removed_in"] is None for one in everything["sets"]] == [True, False, False, False, False]
    found, cursor = [], {}
    while True:
        page = read(client, limit=2, **cursor)
        found += page["sets"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == everything["sets"]


def test_a_drawing_without_descriptions_has_an_empty_list(client: TestClient, session: Session) -> None:
    describe(session, "USD0000002-S_1", "Another drawing's.")
    assert read(client) == {"drawing": DRAWING, "sets": [], "next": None}


def test_an_unknown_or_withdrawn_drawing_has_none(client: TestClient, session: Session) -> None:
    describe(session, DRAWING, "A lamp.")
    problem_of(client.get("/drawings/unknown/descriptions"), 404, "not-found")
    patent = open_patent(session, "USD0000001")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    problem_of(client.get(f"/drawings/{DRAWING}/descriptions"), 404, "not-found")


@pytest.mark.parametrize("params", [{"limit": 0}, {"cursor": "x"}, {"cursor": "WzEsInguIl0"}, {"all": "maybe"}])
def test_what_means_nothing_is_refused(client: TestClient, params: dict[str, Any]) -> None:
    problem_of(client.get(f"/drawings/{DRAWING}/descriptions", params=params), 422, "invalid-request")
