"""What a filter asks for and nothing in the corpus has is told in the answer."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_core.tables import Encoder
from tests.api.conftest import Design, load, unit
from tests.api.test_search import search

DRAWING = {"drawing": "USD0000001-S_1"}


@pytest.fixture(autouse=True)
def corpus(session: Session, encoder: Encoder) -> None:
    citing = Design("USD0000002", [unit(2)], views=("front",), cites=("USD3", "US5819225A"))
    load(session, encoder, [Design("USD0000001", [unit(0)]), citing, Design("USD0000003", [unit(3)], granted=None)])


def warned(client: TestClient, **params: Any) -> list[tuple[str, str]]:
    return [(one["parameter"], one["value"]) for one in search(client, **DRAWING, **params)["warnings"]]


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"locarno": "99"}, [("locarno", "99")]),
        ({"locarno": "14,99"}, [("locarno", "99")]),
        ({"locarno": "14-03"}, [("locarno", "14-03")]),
        ({"office": "XY"}, [("office", "XY")]),
        ({"view": "section,front"}, [("view", "section")]),
        ({"cites": "USD999"}, [("cites", "USD999")]),
        ({"cited_by": "nope"}, [("cited_by", "nope")]),
        ({"exclude": "D2,D999"}, [("exclude", "D999")]),
        ({"locarno": "99", "office": "XY"}, [("locarno", "99"), ("office", "XY")]),
    ],
    ids=str,
)
def test_what_nothing_has_is_told(client: TestClient, params: dict[str, str], told: list[tuple[str, str]]) -> None:
    assert warned(client, **params) == told
    assert warned(client, **params) == told  # from memory, too


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"locarno": "14"},
        {"locarno": "14-02", "office": "US", "view": "front"},
        {"cites": "D3"},
        {"cited_by": "D2"},
        {"exclude": "D2"},
        {"locarno": "14", "before": "1990-01-01"},  # nothing passes, but the class is there
    ],
    ids=str,
)
def test_what_is_there_is_no_warning(client: TestClient, params: dict[str, str]) -> None:
    assert warned(client, **params) == []


def test_a_value_that_comes_later_is_no_warning_any_more(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    assert warned(client, office="EM") == [("office", "EM")]
    load(session, encoder, [Design("EM001", [unit(5)], office="EM")])
    assert warned(client, office="EM") == []


def test_a_record_tells_what_was_warned_of(client: TestClient) -> None:
    answer = search(client, **DRAWING, locarno="14,99", limit=1)
    assert client.get(f"/searches/{answer['search_id']}").json()["answer"] == answer
    later = search(client, **DRAWING, locarno="14,99", limit=1, cursor=answer["next"])
    assert later["warnings"] == answer["warnings"]
