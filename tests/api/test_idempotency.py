"""A POST that is sent again with its Idempotency-Key gets the job that it made."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core.settings import Settings
from linework_core.tables import Encoder, Job
from tests.api.conftest import Design, as_caller, load, problem_of, require_keys

KEY = {"Idempotency-Key": "a-1"}


def upload(client: TestClient, data: bytes = b"x", *, name: str = "a.zip", headers: dict[str, str] = KEY) -> Any:
    return client.post("/ingest", files={"file": (name, data)}, headers=headers)


def jobs(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Job)) or 0


def objects(environment: Settings) -> int:
    folder = Path(urlsplit(environment.object_store_url).path)
    return sum(path.is_file() for path in folder.rglob("*"))


def test_the_same_request_gets_the_same_job_and_leaves_one_upload(
    client: TestClient, session: Session, environment: Settings
) -> None:
    first, second = upload(client), upload(client)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"] == f"/jobs/{first.json()['id']}"
    assert (jobs(session), objects(environment)) == (1, 1)


def test_another_request_with_the_key_is_a_conflict(
    client: TestClient, session: Session, environment: Settings, tmp_path: Path
) -> None:
    upload(client)
    (tmp_path / "b.zip").write_bytes(b"x")
    problem_of(upload(client, b"y"), 409, "conflict")
    problem_of(upload(client, name="b.zip"), 409, "conflict")
    problem_of(client.post("/ingest", json={"uri": f"file://{tmp_path}/b.zip"}, headers=KEY), 409, "conflict")
    assert (jobs(session), objects(environment)) == (1, 1)


def test_the_key_of_one_route_is_not_taken_for_that_of_another(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001")])
    before = jobs(session)
    assert client.delete("/patents/USD0000001", headers=KEY).status_code == 202
    assert client.delete("/patents/USD0000001", headers=KEY).status_code == 202
    problem_of(client.post("/embed", json={}, headers=KEY), 409, "conflict")
    problem_of(upload(client), 409, "conflict")
    assert jobs(session) == before + 1


def test_without_a_key_every_request_makes_a_job(client: TestClient, session: Session) -> None:
    assert upload(client, headers={}).json()["id"] != upload(client, headers={}).json()["id"]
    assert jobs(session) == 2


def test_requests_that_come_together_make_one_job(
    client: TestClient, session: Session, environment: Settings, threads: ThreadPoolExecutor
) -> None:
    answers = list(threads.map(lambda _: upload(client), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (jobs(session), objects(environment)) == (1, 1)


def test_a_request_that_failed_may_be_sent_again(client: TestClient, session: Session, tmp_path: Path) -> None:
    wanted = {"uri": f"file://{tmp_path}/late.zip"}
    problem_of(client.post("/ingest", json=wanted, headers=KEY), 404, "not-found")
    (tmp_path / "late.zip").write_bytes(b"x")
    assert client.post("/ingest", json=wanted, headers=KEY).status_code == 202
    assert jobs(session) == 1


def test_callers_do_not_share_keys(environment: Settings, monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    require_keys(monkeypatch, anna=["ingest"], bert=["ingest"])
    with TestClient(create_app()) as client:
        made = [upload(client, headers=KEY | as_caller(name)).json()["id"] for name in ("anna", "bert", "anna")]
    assert made[0] == made[2] != made[1]
    assert jobs(session) == 2
