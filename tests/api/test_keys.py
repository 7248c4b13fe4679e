"""API keys: made and shown once, used, listed, revoked; by routes and by the command."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_api.keys import known
from linework_api.keys.__main__ import main
from linework_core import db
from linework_core.settings import Settings, get_settings
from linework_core.tables import ApiKey, AuditEntry
from tests.api.conftest import as_caller, give_key, problem_of, require_keys

ROOT = as_caller("root")
SECRET = "d2f0a1b95c0e4e7c8f3a6b1d9e2c7f40"


@pytest.fixture
def keyed(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A gateway that asks for keys: root is an admin, anna searches."""
    require_keys(monkeypatch, root=["admin"], anna=["search"])
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


def made(client: TestClient, **wanted: Any) -> dict[str, Any]:
    answer = client.post("/keys", json={"name": "carl", "scopes": ["search"], **wanted}, headers=ROOT)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_shown_once_and_opens_what_its_scopes_say(keyed: TestClient, session: Session) -> None:
    key = made(keyed)
    assert len(key["key"]) == 46
    assert keyed.get("/corpus", headers=bearer(key["key"])).status_code == 200
    problem_of(keyed.get("/keys", headers=bearer(key["key"])), 403, "forbidden")
    listed = keyed.get("/keys", headers=ROOT)
    assert key["key"] not in listed.text
    assert {one["name"] for one in listed.json()["keys"]} == {"carl", "anna", "root"}


def test_no_table_holds_a_key(keyed: TestClient, session: Session) -> None:
    key = made(keyed)["key"]
    keyed.get("/corpus", headers=bearer(key))
    for table in session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all():
        assert not session.scalar(text(f'SELECT count(*) FROM "{table}" t WHERE to_jsonb(t)::text LIKE :key'), {
            "key": f"%{key[3:]}%"
        })  # fmt: skip


def test_no_log_holds_a_key(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require_keys(monkeypatch, root=["admin"])
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        key = made(client)
        client.get("/corpus", headers=bearer(key["key"]))
        client.get("/corpus", headers=bearer(key["key"] + "x"))
        client.delete(f"/keys/{key['id']}", headers=ROOT)
        client.post("/keys", json={"name": "carl", "scopes": [key["key"]]}, headers=ROOT)
    logged = capfd.readouterr().err
    assert '"path": "/keys"' in logged
    assert key["key"][3:] not in logged
    assert "root-key" not in logged


def test_a_revoked_key_is_refused_and_revoking_it_again_changes_nothing(keyed: TestClient) -> None:
    key = made(keyed)
    assert keyed.get("/corpus", headers=bearer(key["key"])).status_code == 200
    first = keyed.delete(f"/keys/{key['id']}", headers=ROOT).json()
    assert first["state"] == "revoked"
    assert keyed.delete(f"/keys/{key['id']}", headers=ROOT).json() == first
    refused = keyed.get("/corpus", headers=bearer(key["key"]))
    assert "revoked" in problem_of(refused, 401, "unauthorized")["detail"]
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    problem_of(keyed.delete(f"/keys/{uuid4()}", headers=ROOT), 404, "not-found")


def test_a_key_that_another_process_revoked_ends_within_seconds(
    keyed: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "BELIEVED_S", 0.0)
    assert keyed.get("/corpus", headers=as_caller("anna")).status_code == 200
    session.execute(update(ApiKey).where(ApiKey.name == "anna").values(revoked_at=func.now()))
    session.commit()
    problem_of(keyed.get("/corpus", headers=as_caller("anna")), 401, "unauthorized")


def test_a_remembered_key_costs_no_statement(keyed: TestClient, session: Session) -> None:
    keyed.get("/corpus", headers=as_caller("anna"))
    session.execute(update(ApiKey).where(ApiKey.name == "anna").values(revoked_at=func.now()))
    session.commit()
    assert keyed.get("/corpus", headers=as_caller("anna")).status_code == 200  # for at most five seconds


def test_an_expired_key_is_refused(keyed: TestClient, session: Session) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    key = made(keyed, expires_at=soon.isoformat())
    assert keyed.get("/corpus", headers=bearer(key["key"])).status_code == 200
    give_key(session, "dora", ["search"], expires_at=dt.datetime.now(dt.UTC))
    session.commit()
    problem = problem_of(keyed.get("/corpus", headers=as_caller("dora")), 401, "unauthorized")
    assert "expired" in problem["detail"]
    past = {"name": "carl", "scopes": ["search"], "expires_at": "2020-01-01T00:00:00Z"}
    problem_of(keyed.post("/keys", json=past, headers=ROOT), 422, "invalid-request")


def test_the_last_use_is_noted(keyed: TestClient, session: Session) -> None:
    keyed.get("/corpus", headers=as_caller("anna"))
    used = session.scalars(select(ApiKey.last_used_at).where(ApiKey.name == "anna")).one()
    assert used is not None
    assert abs(used - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_nobody_revokes_the_key_in_hand_or_takes_a_name_of_ours(keyed: TestClient) -> None:
    own = next(one["id"] for one in keyed.get("/keys", headers=ROOT).json()["keys"] if one["name"] == "root")
    problem_of(keyed.delete(f"/keys/{own}", headers=ROOT), 409, "conflict")
    for name in ("linework", "local", "shell", "", "a b"):
        refused = keyed.post("/keys", json={"name": name, "scopes": ["search"]}, headers=ROOT)
        problem_of(refused, 422, "invalid-request")


def test_keys_are_listed_in_pages(keyed: TestClient) -> None:
    names = [made(keyed, name=f"carl-{n}")["name"] for n in range(4)]
    first = keyed.get("/keys?limit=2", headers=ROOT).json()
    second = keyed.get("/keys", params={"limit": 2, "cursor": first["next"]}, headers=ROOT).json()
    assert [key["name"] for page in (first, second) for key in page["keys"]] == names[::-1]
    problem_of(keyed.get("/keys?cursor=none", headers=ROOT), 422, "invalid-request")


def command(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """What the command prints; fails where it does."""
    assert main(argv) == 0
    printed = capsys.readouterr().out
    return json.loads(printed) if printed else None


def test_the_command_makes_lists_and_revokes(
    environment: Settings, session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = command(capsys, "create", "anna", "--scope", "search", "--scope", "ingest", "--searches-per-day", "9")
    assert (key["scopes"], key["searches_per_day"]) == (["ingest", "search"], 9)
    monkeypatch.setenv("AUTH", "on")
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        assert client.get("/corpus", headers=bearer(key["key"])).status_code == 200
    assert [one["id"] for one in command(capsys, "list")] == [key["id"]]
    assert command(capsys, "revoke", key["id"])["state"] == "revoked"
    done = session.execute(select(AuditEntry.method, AuditEntry.route, AuditEntry.subject).order_by(AuditEntry.id))
    assert done.all() == [("COMMAND", "keys create", key["id"]), ("COMMAND", "keys revoke", key["id"])]


def bootstrapped(monkeypatch: pytest.MonkeyPatch, secret: str | None) -> int:
    if secret is not None:
        monkeypatch.setenv("BOOTSTRAP_ADMIN_KEY", secret)
    get_settings.cache_clear()
    return main(["bootstrap"])


def test_the_first_admin_is_made_once_and_replaced_by_another_key(
    environment: Settings, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("BOOTSTRAP_ADMIN_KEY_FILE", str(file))
    assert (bootstrapped(monkeypatch, None), bootstrapped(monkeypatch, None)) == (0, 0)
    assert session.scalars(select(ApiKey.scopes)).all() == [["admin"]]
    file.write_text(SECRET[::-1])
    assert bootstrapped(monkeypatch, None) == 0
    session.rollback()
    assert session.scalar(select(func.count()).where(ApiKey.revoked_at.is_(None))) == 1
    monkeypatch.setenv("AUTH", "on")
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        assert client.get("/keys", headers=bearer(SECRET[::-1])).status_code == 200
        problem_of(client.get("/keys", headers=bearer(SECRET)), 401, "unauthorized")


def test_without_a_key_to_begin_with_bootstrap_does_nothing(
    environment: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bootstrapped(monkeypatch, None) == 0
    assert session.scalar(select(func.count()).select_from(ApiKey)) == 0


@pytest.mark.parametrize("secret", ["", "short", "a" * 64, "change-me-" * 5, SECRET[:31], f"{SECRET} {SECRET}"])
def test_a_first_key_that_can_be_guessed_is_refused(
    environment: Settings, session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    secret: str,
) -> None:  # fmt: skip
    assert bootstrapped(monkeypatch, secret) == 1
    told = capsys.readouterr().err
    assert "BOOTSTRAP_ADMIN_KEY" in told
    assert not secret or secret not in told
    with db.transaction() as opened:
        assert opened.scalar(select(func.count()).select_from(ApiKey)) == 0
