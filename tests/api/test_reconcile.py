"""Work that nobody does is found: lost messages, dead workers, a Redis that is away."""

import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.db import transaction
from linework_core.jobs import service
from linework_core.jobs.reconcile import reconcile
from linework_core.manifest import EncoderManifest
from linework_core.queues import get_redis, waiting
from linework_core.settings import Settings, get_settings
from linework_core.tables import Encoder, Job
from tests.api.conftest import DIMENSION, Design, NewJob, load, long_ago, look


def queued(kind: str) -> list[str]:
    """Ids of the jobs that a queue's messages name, the oldest first."""
    with get_redis() as client:
        messages = [json.loads(message) for message in client.lrange(kind, 0, -1)]
    return [message["headers"]["argsrepr"].strip("(),'\"[]") for message in reversed(messages)]


def test_what_waits_is_nudged_when_the_queue_is_empty_and_only_then(new_job: NewJob, session: Session) -> None:
    first = new_job(created_at=long_ago())
    dead = new_job(state="running", lease_holder="dead", lease_until=long_ago())
    new_job(state="running", lease_holder="alive", lease_until=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    new_job(not_before=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    new_job(state="succeeded")
    reconcile()
    assert queued("ingest") == [str(first), str(dead)]
    reconcile()
    assert waiting("ingest") == 2
    with get_redis() as client:
        client.delete("ingest")
    reconcile()
    assert waiting("ingest") == 2


def test_a_cancelled_job_whose_worker_died_ends(new_job: NewJob, session: Session) -> None:
    job_id = new_job(state="running", lease_holder="dead", lease_until=long_ago(), cancel_requested=True)
    reconcile()
    job = look(session, job_id)
    assert (job.state, job.finished_at is not None, waiting("ingest")) == ("cancelled", True, 0)


def test_drawings_without_a_vector_get_one_embed_job(session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001", [None])])
    reconcile()
    reconcile()
    [job] = session.scalars(select(Job).where(Job.kind == "embed")).all()
    assert (job.state, job.params) == ("queued", {"encoder": encoder.encoder_id})
    assert waiting("embed") >= 1


def test_the_index_that_was_switched_off_last_is_kept_up_to_date_for_a_rollback_and_older_ones_are_not(
    session: Session, encoder: Encoder
) -> None:
    for number in (2, 3):
        other = EncoderManifest(
            id=f"other-{number}", name="other", spec=f"debug:{number}", content_hash=str(number) * 64,
            dimension=DIMENSION, has_text=False,
        )  # fmt: skip
        made = encoders.register(session, other)
        encoders.mark_ready(session, made)
        encoders.activate(session, made)
        session.commit()
    load(session, encoder, [Design("USD0000001", [None])])
    reconcile()
    wanted = {job.params["encoder"] for job in session.scalars(select(Job).where(Job.kind == "embed"))}
    assert wanted == {"other-3", "other-2"}


def test_an_embed_job_that_ends_while_another_is_asked_for_makes_room(
    session: Session, encoder: Encoder, threads: ThreadPoolExecutor
) -> None:
    def ask_and_end(_: int) -> UUID:
        with transaction() as asking:
            job_id = service.ensure_embed_job(asking, encoder).id
        with transaction() as ending:
            ending.execute(update(Job).where(Job.id == job_id).values(state="succeeded"))
        return job_id

    asked = list(threads.map(ask_and_end, range(80)))
    assert len(asked) == 80


@pytest.fixture(params=["dead", "hung"])
def redis_away(
    environment: Settings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server_folder: Path
) -> Iterator[None]:
    """Redis is not there, or takes connections and never answers."""
    path = server_folder / f"{request.param}.sock"
    monkeypatch.setenv("REDIS_URL", f"unix://{path}?db=0")
    get_settings.cache_clear()
    with socket.socket(socket.AF_UNIX) as listener:
        if request.param == "hung":
            listener.bind(str(path))
            listener.listen(64)
        yield
    path.unlink(missing_ok=True)


def test_a_lost_nudge_fails_no_request_and_holds_it_up_little(redis_away: None, client: TestClient) -> None:
    began = time.monotonic()
    response = client.post("/ingest", files={"file": ("a.zip", b"x")})
    assert response.status_code == 202
    assert time.monotonic() - began < 30
    assert client.get(response.headers["location"]).json()["state"] == "queued"


def test_the_beat_outlives_redis(redis_away: None, new_job: NewJob) -> None:
    new_job()
    reconcile()


def test_a_nudge_that_redis_lost_is_sent_again(client: TestClient) -> None:
    client.post("/ingest", files={"file": ("a.zip", b"x")})
    assert waiting("ingest") == 1
    with get_redis() as redis:
        redis.flushdb()
    reconcile()
    assert waiting("ingest") == 1
