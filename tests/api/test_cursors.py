"""Cursors that strangers made up: each is refused as such, by every route that pages, or stands for a place."""

import base64
import datetime as dt
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from linework_api import cursors
from linework_core.errors import Unprocessable
from linework_core.tables import Encoder, Job
from tests.api.conftest import Design, load, problem_of, unit

QUERY = Design("USD0000001", [unit(0)])


def in_base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def paged(session: Session) -> list[tuple[str, dict[str, Any]]]:
    """Every route that takes a cursor, with what else it wants."""
    batch = Job(kind="search", owner="local", params={"options": {}, "snapshot": 0, "encoder": 1})
    session.add(batch)
    session.commit()
    return [
        ("/search", {"drawing": "USD0000001-S_1"}),
        ("/search", {"drawing": "USD0000001-S_1", "record": False, "group_by": "patent"}),
        (f"/search/batch/{batch.id}", {}),
        ("/jobs", {}),
        ("/keys", {}),
        ("/audit", {}),
        ("/drawings/USD0000001-S_1/descriptions", {}),
    ]


def test_a_cursor_is_read_as_it_was_written() -> None:
    now, identity = dt.datetime.now(dt.UTC), uuid4()
    assert cursors.decode(cursors.encode(now.isoformat(), identity), cursors.PLACE) == (now, identity)
    shape: TypeAdapter[tuple[int, str, float]] = TypeAdapter(tuple[cursors.Number, cursors.Text, cursors.Score])
    assert cursors.decode(cursors.encode(3, "a", 0.1), shape) == (3, "a", 0.1)


@pytest.mark.parametrize(
    "content",
    [
        b"[true]", b"[-1]", b"[1.5]", b'["1"]', b"[null]", b"[9223372036854775808]", b"[1" + b"0" * 400 + b"]", b"{}",
        b"[]", b"[1,2]", b"1", b"", b"\xff", b"[" * 700, b"nonsense",
    ],
)  # fmt: skip
def test_what_is_no_row_is_no_place_among_rows(content: bytes) -> None:
    with pytest.raises(Unprocessable):
        cursors.decode(in_base64(content), TypeAdapter(tuple[cursors.Number]))


@pytest.mark.parametrize("content", [b"[NaN]", b"[Infinity]", b"[1e400]", b"[true]", b"[1" + b"0" * 400 + b"]"])
def test_what_is_no_finite_number_is_no_score(content: bytes) -> None:
    with pytest.raises(Unprocessable):
        cursors.decode(in_base64(content), TypeAdapter(tuple[cursors.Score]))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00", "2020-01-01T00:00:00", 5])
def test_what_is_no_time_of_the_world_is_no_place(time: Any) -> None:
    with pytest.raises(Unprocessable):
        cursors.decode(cursors.encode(time, uuid4()), cursors.PLACE)


scraps = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.just(10**400),
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.uuids().map(str),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)).map(lambda time: time.isoformat()),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "\0", "\ud800", str(UUID(int=0)), "0" * 32]),
)
things = st.recursive(scraps, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=2))


@given(content=st.lists(things, max_size=6) | things)
@example(content=[True])
@example(content=["0" * 32, 1, 10**400, "a"])
@example(content=["0" * 32, 1, 0.5, "\0"])
@example(content=["0" * 32, 1, 0.5, "\ud800"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_cursor_that_is_made_up_is_an_error_of_ours(
    client: TestClient, session: Session, encoder: Encoder, routes: list[tuple[str, dict[str, Any]]], content: Any
) -> None:
    cursor = in_base64(json.dumps(content).encode())[:1000]
    for path, params in routes:
        response = client.get(path, params={**params, "cursor": cursor})
        if response.status_code != 200:
            problem_of(response, 422, "invalid-request")


@pytest.fixture
def routes(session: Session, encoder: Encoder) -> list[tuple[str, dict[str, Any]]]:
    load(session, encoder, [QUERY, *(Design(f"USD001000{n}", [unit(n)]) for n in range(3))])
    return paged(session)
