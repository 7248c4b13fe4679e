"""Jobs as callers see them: followed, paged, and nobody else's business."""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core import store
from linework_core.jobs.runner import Run, run_job
from linework_core.settings import Settings
from linework_core.tables import Encoder
from tests.api.conftest import NewJob, as_caller, long_ago, problem_of, require_keys
from tests.api.serving import serving
from tests.waiting import PATIENCE


def test_a_job_is_followed_to_its_end(new_job: NewJob, session: Session, threads: ThreadPoolExecutor) -> None:
    job_id, step = new_job(), threading.Semaphore(0)

    def handler(run: Run) -> dict[str, Any]:
        run.start_counting(total=2)
        for _ in range(2):
            assert step.acquire(timeout=PATIENCE)
            with run.transaction() as writing:
                run.tell(writing, done=1)
        assert step.acquire(timeout=PATIENCE)
        return {"records": 2}

    events: list[dict[str, Any]] = []
    with serving(create_app()) as url, httpx.stream("GET", f"{url}/jobs/{job_id}/events", timeout=PATIENCE) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for name, job in events_of(stream):
            if not events:
                threads.submit(run_job, job_id, handler)
            if job["state"] == "running":
                step.release()
            assert name == "job"
            events.append(job)
        assert httpx.get(f"{url}/jobs/{job_id}").json() == events[-1]
    assert [job["state"] for job in events[:1] + events[-1:]] == ["queued", "succeeded"]
    done = [job["progress"]["done"] for job in events]
    assert done == sorted(done)
    assert (done[-1], events[-1]["result"]) == (2, {"records": 2})


def events_of(stream: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in stream.iter_lines():
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield name, json.loads(line.removeprefix("data:"))


def test_a_finished_job_has_one_event_and_an_unknown_one_is_a_404(client: TestClient, new_job: NewJob) -> None:
    finished = client.get(f"/jobs/{new_job(state='failed')}/events")
    assert finished.text.count("event: job") == 1
    problem_of(client.get("/jobs/1d5f0fc9-27f5-4ffd-8b24-4e8a9e9ad4c6/events"), 404, "not-found")


def test_pages_hold_every_job_once_while_jobs_are_added(client: TestClient, new_job: NewJob) -> None:
    moment = long_ago()
    wanted = {str(new_job(created_at=moment)) for _ in range(5)}  # at one moment: ties must not confuse pages
    wanted |= {str(new_job(created_at=moment + dt.timedelta(seconds=n))) for n in range(6)}
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/jobs", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            break
        new_job()
    assert len(seen) == len(set(seen)) == 11
    assert set(seen) == wanted


def test_jobs_are_listed_by_kind_and_state_the_newest_first(
    client: TestClient, new_job: NewJob, encoder: Encoder
) -> None:
    older = str(new_job(state="failed", created_at=long_ago()))
    newer = str(new_job(state="failed"))
    new_job(kind="embed", state="failed")
    new_job()
    listed = client.get("/jobs", params={"kind": "ingest", "state": "failed"}).json()
    assert [job["id"] for job in listed["jobs"]] == [newer, older]
    assert client.get("/jobs", params={"kind": "train"}).json() == {"jobs": [], "next": None}


def test_a_job_is_its_owners_and_an_admins(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, new_job: NewJob
) -> None:
    require_keys(monkeypatch, anna=["ingest"], bert=["ingest", "search"], root=["admin"])
    job_id = new_job(owner="anna")
    with TestClient(create_app()) as client:
        for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/events"):
            problem_of(client.get(path, headers=as_caller("bert")), 404, "not-found")
        problem_of(client.delete(f"/jobs/{job_id}", headers=as_caller("bert")), 404, "not-found")
        assert client.get("/jobs", headers=as_caller("bert")).json()["jobs"] == []
        for name in ("anna", "root"):
            assert client.get(f"/jobs/{job_id}", headers=as_caller(name)).status_code == 200
            assert len(client.get("/jobs", headers=as_caller(name)).json()["jobs"]) == 1
        assert client.delete(f"/jobs/{job_id}", headers=as_caller("root")).json()["state"] == "cancelled"


def test_an_embed_job_may_be_followed_by_whoever_was_given_it(
    monkeypatch: pytest.MonkeyPatch, session: Session, encoder: Encoder
) -> None:
    require_keys(monkeypatch, anna=["train"], bert=["train"], root=["admin"])
    with TestClient(create_app()) as client:
        places = [
            client.post("/embed", json={}, headers=as_caller(name)).headers["location"] for name in ("anna", "bert")
        ]
        assert places[0] == places[1]
        for name in ("anna", "bert"):
            assert client.get(places[0], headers=as_caller(name)).status_code == 200
        problem_of(client.delete(places[0], headers=as_caller("anna")), 403, "forbidden")
        assert client.delete(places[0], headers=as_caller("root")).json()["state"] == "cancelled"


def test_the_files_that_a_job_has_made_can_be_read(client: TestClient, session: Session, new_job: NewJob) -> None:
    name = store.content_hash(b"# A card")
    store.put_once(store.get_store(), store.artefact_key(name), b"# A card")
    job_id = new_job("train", state="succeeded", result={"artefacts": {"card.md": name}})
    answer = client.get(f"/jobs/{job_id}/artefacts/card.md")
    assert answer.content == b"# A card"
    assert answer.headers["content-type"].startswith("text/markdown")
    problem_of(client.get(f"/jobs/{job_id}/artefacts/other.md"), 404, "not-found")
