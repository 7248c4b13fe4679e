"""The audit log: who did what, and nothing of what they sent."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_api.beat import forget
from linework_core.settings import Settings
from linework_core.tables import AuditEntry, Encoder, IdempotencyKey
from tests.api.conftest import Design, as_caller, load, problem_of, require_keys

ROOT = as_caller("root")


@pytest.fixture
def keyed(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    require_keys(monkeypatch, root=["admin"], anna=["search"], bert=["ingest"])
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


def entries(client: TestClient, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/audit", params=wanted, headers=ROOT).json()["entries"]
    return found


def test_what_changes_something_is_written_down_before_it_is_answered(keyed: TestClient) -> None:
    request = {"X-Request-ID": "r-1"}
    job = keyed.post("/ingest", files={"file": ("a.zip", b"x")}, headers=as_caller("bert") | request).json()
    keyed.delete(f"/jobs/{job['id']}", headers=as_caller("bert"))
    cancelled, queued = entries(keyed)
    assert queued["caller"] == "bert"
    assert queued["key_id"]
    told = [(one["method"], one["route"], one["subject"], one["status"]) for one in (queued, cancelled)]
    assert told == [("POST", "/ingest", job["id"], 202), ("DELETE", "/jobs/{job_id}", job["id"], 200)]
    assert queued["request_id"] == "r-1"


def test_reading_the_record_of_a_search_is_written_down_and_searching_is_not(
    keyed: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001"), Design("USD0000002")])
    search = keyed.get("/search?drawing=USD0000001-S_1", headers=as_caller("anna")).json()["search_id"]
    keyed.get("/corpus", headers=as_caller("anna"))
    assert entries(keyed) == []
    keyed.get(f"/searches/{search}", headers=ROOT)
    keyed.post(f"/searches/{search}/replay", headers=as_caller("anna"))
    assert [(one["caller"], one["subject"]) for one in entries(keyed)] == [("anna", search), ("root", search)]


def test_a_refusal_of_a_known_caller_is_written_down_and_a_strangers_is_not(keyed: TestClient) -> None:
    keyed.delete("/patents/USD1", headers=as_caller("nobody"))
    keyed.delete("/patents/USD1")
    keyed.delete("/patents/USD1", headers=as_caller("bert"))
    assert [(one["caller"], one["subject"], one["status"]) for one in entries(keyed)] == [("bert", "USD1", 404)]


def test_neither_bodies_nor_keys_are_in_it(keyed: TestClient, session: Session) -> None:
    made = keyed.post("/keys", json={"name": "carl", "scopes": ["search"]}, headers=ROOT).json()
    keyed.post("/ingest", files={"file": ("private.zip", b"x")}, headers=as_caller("bert"))
    kept = session.execute(select(func.to_jsonb(AuditEntry.__table__.table_valued()))).scalars().all()
    assert len(kept) == 2
    assert made["id"] in str(kept)
    for secret in (made["key"], "root-key", "private.zip", "carl"):
        assert secret not in str(kept)


def test_it_is_read_by_admins_in_pages_and_by_caller_or_subject(keyed: TestClient) -> None:
    for patent in ("USD1", "USD2", "USD3"):
        keyed.delete(f"/patents/{patent}", headers=as_caller("bert"))
    first = keyed.get("/audit?limit=2", headers=ROOT).json()
    second = keyed.get("/audit", params={"limit": 2, "cursor": first["next"]}, headers=ROOT).json()
    assert [one["subject"] for page in (first, second) for one in page["entries"]] == ["USD3", "USD2", "USD1"]
    assert second["next"] is None
    assert entries(keyed, caller="anna") == []
    assert len(entries(keyed, caller="bert", subject="USD2")) == 1
    problem_of(keyed.get("/audit", headers=as_caller("bert")), 403, "forbidden")
    problem_of(keyed.get("/audit?cursor=none", headers=ROOT), 422, "invalid-request")


def test_what_is_too_old_is_forgotten_where_a_time_is_set(keyed: TestClient, session: Session) -> None:
    headers = as_caller("bert") | {"Idempotency-Key": "a-1"}
    keyed.post("/ingest", files={"file": ("a.zip", b"x")}, headers=headers)
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=8)
    session.execute(update(AuditEntry).values(at=long_ago))
    forget(Settings())
    session.commit()
    assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 1
    session.execute(update(IdempotencyKey).values(created_at=long_ago))
    session.commit()
    forget(Settings())  # the audit log is kept for ever, idempotency keys for a week
    assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0
    assert session.scalar(select(func.count()).select_from(AuditEntry)) == 1
    session.commit()
    forget(Settings(audit_retention_days=7))
    assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0
