"""The promises of an answer hold in every mode while another connection adds and withdraws patents."""

import datetime as dt
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from linework_core import vector_costs, vector_index
from linework_core.corpus import close_patent, next_snapshot, open_patent, visible
from linework_core.db import session_factory
from linework_core.tables import Drawing, Embedding, Encoder
from tests.api.conftest import Design, load, unit
from tests.waiting import PATIENCE

FIRST = dt.date(2015, 1, 6)
CLASSES = ("14-02", "14-03", "02-01", None)
VIEWS = ("front", "rear", None)


def design(number: int, dice: random.Random) -> Design:
    day = None if dice.random() < 0.1 else FIRST + dt.timedelta(weeks=dice.randrange(50))
    vectors = [unit(dice.randrange(10_000)) if dice.random() < 0.9 else None for _ in range(dice.randrange(1, 4))]
    return Design(
        f"USD{number:07}", vectors, granted=day, locarno=dice.choice(CLASSES), views=(dice.choice(VIEWS),),
        title=dice.choice(["Lamp", "Chair", "Lamp shade"]),
    )  # fmt: skip


@contextmanager
def changing(engine: Engine, encoder: Encoder) -> Iterator[None]:
    """Somebody else adds and withdraws patents, until the end of the context."""
    ended, faults = threading.Event(), []

    def change() -> None:
        dice, number = random.Random(1), 100_000
        with session_factory(engine)() as session:
            while not ended.is_set():
                try:
                    load(session, encoder, [design(number, dice)])
                    patent = open_patent(session, f"USD{dice.randrange(100, 300):07}")
                    if patent is not None and dice.random() < 0.3:
                        close_patent(session, patent, next_snapshot(session))
                    session.commit()
                except Exception as fault:
                    faults.append(fault)
                    return
                number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=PATIENCE)
    assert faults == []


def asked(dice: random.Random) -> dict[str, Any]:
    """A random search."""
    params: dict[str, Any] = {
        "mode": dice.choice(["auto", "exact", "approximate"]),
        "limit": dice.choice([1, 5, 40, 1000]),
    }
    if dice.random() < 0.7:
        params["before"] = str(FIRST + dt.timedelta(weeks=dice.randrange(60)))
    if dice.random() < 0.4:
        params["locarno"] = dice.choice(["14", "14-02", "02"])
    if dice.random() < 0.3:
        params["view"] = dice.choice(["front", "rear"])
    if dice.random() < 0.3:
        params["q"] = "lamp shade"
    if dice.random() < 0.3:
        params["group_by"] = "patent"
    return params


def passing(params: dict[str, Any], table: Any, snapshot: int) -> list[Any]:
    """The filters, written a second time."""
    wanted = [visible(table, snapshot), table.patent_id != "USD0000001"]
    if "before" in params:
        wanted.append(table.granted < dt.date.fromisoformat(params["before"]))
    if "locarno" in params:
        classes = {c for c in CLASSES if c and (c == params["locarno"] or c.startswith(params["locarno"] + "-"))}
        wanted.append(table.locarno.in_(classes))
    if "view" in params:
        wanted.append(table.view == params["view"])
    return wanted


@pytest.mark.timeout(900)
def test_every_answer_is_complete_and_in_time_on_its_own_snapshot(
    monkeypatch: pytest.MonkeyPatch, client: TestClient, engine: Engine, session: Session, encoder: Encoder
) -> None:
    monkeypatch.setattr(vector_index, "SCANNED_ROWS", 50)  # so that a corpus this small has graphs
    dice = random.Random(0)
    load(session, encoder, [Design("USD0000001", [unit(0)])])
    load(session, encoder, [design(number, dice) for number in range(100, 300)])
    vector_costs.refresh(engine, encoder)
    session.expunge(encoder)  # two threads read it; it must not ask this session for anything
    snapshots, searches, approximate = set(), 0, 0
    with changing(engine, encoder):
        while searches < 120 or len(snapshots) < 5:  # however slow the other one is
            params = asked(dice)
            searches += 1
            response = client.get("/search", params={"drawing": "USD0000001-S_1", **params})
            assert response.status_code == 200, response.text
            check(session, encoder, params, response.json())
            snapshots.add(response.json()["snapshot"])
            approximate += not response.json()["exact"]
    assert approximate > 10


def check(session: Session, encoder: Encoder, params: dict[str, Any], answer: dict[str, Any]) -> None:
    """What was answered against a count of our own, on the snapshot that the answer names."""
    session.rollback()
    snapshot = answer["snapshot"]
    indexed = passing(params, Embedding, snapshot)
    what = func.count(Embedding.patent_id.distinct()) if "group_by" in params else func.count()
    eligible = session.scalar(select(what).select_from(Embedding).where(*indexed)) or 0
    drawings = session.scalar(select(func.count()).select_from(Drawing).where(*passing(params, Drawing, snapshot))) or 0
    vectors = session.scalar(select(func.count()).select_from(Embedding).where(*indexed)) or 0
    assert (answer["eligible"], answer["unindexed"]) == (eligible, drawings - vectors), params
    assert len(answer["hits"]) == min(params["limit"], eligible), params
    found = [hit["drawing"]["id"] for hit in answer["hits"]]
    assert len(set(found)) == len(found)
    allowed = set(session.scalars(select(Embedding.drawing_id).where(*indexed)))
    assert set(found) <= allowed, params
    scores = [(-hit["score"], hit["drawing"]["id"]) for hit in answer["hits"]]
    assert [score for score, _ in scores] == sorted(score for score, _ in scores)
