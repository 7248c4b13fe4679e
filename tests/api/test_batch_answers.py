"""What is read of a batch and by whom, what it costs its caller, and how long it is kept."""

import datetime as dt
from collections.abc import Callable
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from linework_api import beat
from linework_api.app import create_app
from linework_core import db
from linework_core.settings import Settings, get_settings
from linework_core.tables import BatchQuery, Encoder, Job, Search, Unrecorded
from tests.api.batching import DESIGNS, ask, lines, pages, work
from tests.api.conftest import Design, as_caller, count, give_key, load, long_ago, problem_of, require_keys

pytestmark = pytest.mark.usefixtures("fresh_worker")


def test_the_csv_has_every_hit_and_every_query_without_one(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [*DESIGNS, Design("USD0000096", title="=1+1", granted=dt.date(1990, 1, 2))])
    job = ask(client, {"patents": ["USD0000001", "USD0000096", "USD0000404"]}, limit=2)
    before = lines(client, job["id"])
    assert [(line["query"], line["state"]) for line in before] == [
        ("USD0000001", "waiting"), ("USD0000096", "waiting"), ("USD0000404", "waiting"),
    ]  # fmt: skip
    work(job["id"])
    first, *others = lines(client, job["id"])
    assert (first["ordinal"], first["query"], first["state"], first["rank"]) == ("1", "USD0000001", "answered", "1")
    assert (first["patent"], first["title"], first["before"]) == ("USD0000096", "'=1+1", "2015-01-06")
    assert [(line["query"], line["state"], line["reason"], line["rank"]) for line in others] == [
        ("USD0000096", "answered", "", ""), ("USD0000404", "set-aside", "not-found", ""),
    ]  # fmt: skip


def test_a_batch_is_its_owners_and_an_admins(
    environment: Settings, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(session, encoder, DESIGNS)
    require_keys(monkeypatch, anna=["search"], carl=["search"], root=["admin"])
    with TestClient(create_app()) as client:
        made = client.post("/search/batch", json={"patents": ["USD0000020"]}, headers=as_caller("anna"))
        work(made.json()["id"])
        for path in (f"/search/batch/{made.json()['id']}", f"/search/batch/{made.json()['id']}/export"):
            problem_of(client.get(path, headers=as_caller("carl")), 404, "not-found")
            assert [client.get(path, headers=as_caller(name)).status_code for name in ("anna", "root")] == [200, 200]
        read = client.get("/audit", headers=as_caller("root")).json()["entries"]
        assert {(entry["caller"], entry["method"], entry["route"]) for entry in read} == {
            ("anna", "POST", "/search/batch"),
            *((who, "GET", "/search/batch/{job_id}") for who in ("anna", "carl", "root")),
            *((who, "GET", "/search/batch/{job_id}/export") for who in ("anna", "carl", "root")),
        }


def test_a_cursor_is_of_its_batch_and_another_job_is_no_batch(
    client: TestClient, session: Session, encoder: Encoder, new_job: Callable[..., UUID]
) -> None:
    load(session, encoder, DESIGNS)
    one, other = (ask(client, {"patents": ["USD0000001", "USD0000002"]})["id"] for _ in range(2))
    cursor = client.get(f"/search/batch/{one}?limit=1").json()["next"]
    for wrong in (cursor, "abc"):
        problem_of(client.get(f"/search/batch/{other}?cursor={wrong}"), 422, "invalid-request")
    problem_of(client.get(f"/search/batch/{new_job()}"), 404, "not-found")


# ---- quotas and retention


def test_each_query_counts_as_a_search_of_the_day(
    environment: Settings, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(session, encoder, DESIGNS)
    require_keys(monkeypatch)
    with db.transaction() as writing:
        give_key(writing, "anna", ["search"], searches_per_day=6)
    with TestClient(create_app(), headers=as_caller("anna"), raise_server_exceptions=False) as client:
        five, six = ({"patents": [design.id for design in DESIGNS[:n]]} for n in (5, 6))
        problem_of(client.post("/search/batch", json={"patents": [d.id for d in DESIGNS]}), 429, "quota-exceeded")
        again = {"Idempotency-Key": "once"}
        assert [client.post("/search/batch", json=five, headers=again).status_code for _ in range(2)] == [202, 202]
        problem_of(client.post("/search/batch", json=six), 429, "quota-exceeded")
        assert client.get("/search?drawing=USD0000001-S_1").status_code == 200
        problem_of(client.get("/search?drawing=USD0000001-S_1"), 429, "quota-exceeded")
        problem_of(client.post("/search/batch", json={"patents": ["USD0000001"]}), 429, "quota-exceeded")
    assert count(session, BatchQuery) == 5


def test_without_records_the_hits_are_there_for_a_day(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, DESIGNS)
    kept = ask(client, {"patents": ["USD0000020"]})["id"]
    fleeting = ask(client, {"patents": ["USD0000020", "USD0000404", "USD0000021"]}, record=False)["id"]
    for job_id in (kept, fleeting):
        work(job_id)
    first, _, _ = pages(client, fleeting)
    assert (first["answer"]["search_id"], len(first["answer"]["hits"])) == (None, 20)
    assert session.scalars(select(Unrecorded.searches)).one() == 2
    beat.forget(get_settings())
    assert len(pages(client, fleeting)) == 3
    session.execute(update(Job).values(finished_at=func.now() - dt.timedelta(hours=25)))
    session.commit()
    beat.forget(get_settings())
    assert (pages(client, fleeting), len(pages(client, kept)), count(session, Search)) == ([], 1, 1)
    assert client.get(f"/jobs/{fleeting}").json()["result"]["answered"] == 2


def test_a_batch_is_forgotten_with_its_records(
    client: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(session, encoder, DESIGNS)
    old, new = (ask(client, {"patents": ["USD0000020", "USD0000404"]})["id"] for _ in range(2))
    for job_id in (old, new):
        work(job_id)
    of_old = select(BatchQuery.search_id).where(BatchQuery.job_id == UUID(old))
    year = dt.timedelta(days=365)
    session.execute(update(Search).where(Search.id.in_(of_old)).values(created_at=long_ago() - year))
    session.execute(update(BatchQuery).where(BatchQuery.job_id == UUID(old)).values(searched_at=long_ago() - year))
    session.commit()
    monkeypatch.setenv("SEARCH_RETENTION_DAYS", "30")
    get_settings.cache_clear()
    beat.forget(get_settings())
    assert (pages(client, old), len(pages(client, new)), count(session, Search)) == ([], 2, 1)
