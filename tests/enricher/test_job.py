"""The worker as a real process: cancelled, asked to end, killed; every drawing gets its texts once."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from linework_core import db
from linework_core.jobs import service
from linework_core.queues import nudge
from linework_core.settings import Settings
from linework_core.tables import Description, Job, LlmCall
from tests.enricher.corpus import add_design, counts, order, provider_of, read, sets
from tests.enricher.rig import KEY
from tests.enricher.stub import Stub
from tests.waiting import until
from tests.workers import NewWorker, workers

DESIGNS = 60


@pytest.fixture
def worker(settings: Settings, stub: Stub) -> Iterator[NewWorker]:
    """Starts workers that keep four calls in flight, each of which takes a fifth of a second."""
    stub.latency = 0.2
    with workers("linework_enricher.worker", "enrich", LLM=provider_of(stub.url, concurrency=4, timeout_s=5)) as start:
        yield start


@pytest.fixture
def corpus(engine: Engine) -> None:
    with db.transaction(engine) as session:
        for number in range(DESIGNS):
            add_design(session, None, f"USD{number:07}", named=f"desk lamp of kind {number}", drawings=2)


def asked(stub: Stub) -> Counter[str]:
    """How often each question was sent."""
    return Counter(call.prompt for call in stub.log)


def check_all_described_once(engine: Engine, job: Job) -> None:
    assert job.state == "succeeded", job.error
    assert counts(job) == (2 * DESIGNS, 2 * DESIGNS, 0, 0)
    assert job.result is not None
    assert job.result["described"] == 2 * DESIGNS
    everything = sets(engine, all_of_them=True)
    assert len(everything) == len({one.drawing_row for one in everything}) == 2 * DESIGNS


def test_a_job_that_is_cancelled_ends_in_seconds_and_keeps_what_it_wrote(engine, corpus, worker, stub):
    worker()
    job_id = order(engine)
    until(lambda: read(engine, job_id).done >= 4)
    cancelled = time.monotonic()
    with db.transaction(engine) as session:
        service.cancel(session, session.get_one(Job, job_id), owner="test")
    until(lambda: read(engine, job_id).state == "cancelled")
    assert time.monotonic() - cancelled < 30
    job = read(engine, job_id)
    assert 4 <= job.done == len(sets(engine)) < 2 * DESIGNS
    assert job.result["described"] == job.done
    sent = len(stub.log)
    time.sleep(1)
    assert len(stub.log) == sent
    assert sent <= job.done / 2 + 4


def test_a_worker_that_is_to_end_hands_its_job_back_and_another_goes_on(engine, corpus, worker, stub):
    first = worker()
    job_id = order(engine)
    until(lambda: read(engine, job_id).done >= 4)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    job = read(engine, job_id)
    assert (job.state, job.lease_holder) == ("queued", None)
    assert 4 <= job.done < 2 * DESIGNS

    worker()
    until(lambda: read(engine, job_id).state == "succeeded")
    check_all_described_once(engine, read(engine, job_id))
    assert set(asked(stub).values()) == {1}
    assert read(engine, job_id).result["calls"] == DESIGNS


def test_a_killed_worker_loses_nothing_and_pays_twice_for_no_more_than_was_under_way(engine, corpus, worker, stub):
    first = worker()
    job_id = order(engine)
    until(lambda: read(engine, job_id).done >= 4)
    first.kill()
    first.wait()
    worker()

    def done() -> bool:
        if read(engine, job_id).lease_until is not None:
            nudge("enrich", job_id)  # as the beat does once the lease has ended
        return read(engine, job_id).state == "succeeded"

    until(done)
    check_all_described_once(engine, read(engine, job_id))
    again = asked(stub)
    assert len(again) == DESIGNS
    assert sum(again.values()) <= DESIGNS + 4


def test_two_workers_share_two_jobs_about_the_same_drawings_and_ask_everything_once(engine, corpus, worker, stub):
    worker()
    worker()
    jobs = [order(engine), order(engine)]
    until(lambda: all(read(engine, job_id).state == "succeeded" for job_id in jobs))
    assert set(asked(stub).values()) == {1}
    assert stub.peak <= 4
    both = [read(engine, job_id) for job_id in jobs]
    assert sum(job.done for job in both) == len(sets(engine, all_of_them=True)) == 2 * DESIGNS
    assert all(job.failed == 0 for job in both)
    assert sum(job.result["calls"] for job in both) == DESIGNS


def test_no_key_is_written_down_and_every_call_has_its_provenance(engine, corpus, worker, stub):
    worker()
    job_id = order(engine, drawings=["USD0000001-S_1"])
    until(lambda: read(engine, job_id).state == "succeeded")
    assert stub.log[0].authorization == f"Bearer {KEY}"
    with Session(engine) as session:
        call = session.scalars(select(LlmCall)).one()
        described = session.scalars(select(Description)).one()
        assert (call.purpose, call.provider_url, call.model) == ("describe", stub.url, "stub-1")
        assert described.calls == [call.key]
        rows = [session.scalars(select(func.to_jsonb(func.row(*table.__table__.c)))).all() for table in (Job, LlmCall)]
    assert KEY not in json.dumps(rows, default=str)
