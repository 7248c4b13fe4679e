"""Running a job: one worker at a time, cancelling, handing back, trying again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session

from linework_core.corpus import current_snapshot, next_snapshot
from linework_core.errors import LineworkError, Unavailable, Unprocessable
from linework_core.jobs import service
from linework_core.jobs.runner import MAX_TRIES, Handler, Run, run_job, stopping
from linework_core.queues import waiting
from linework_core.tables import Job
from tests.api.conftest import LEASE, NewJob, change, long_ago, look
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("short_leases")


class Stepping:
    """A handler that the test leads: it says when it began, and goes on when told."""

    def __init__(self, then: Handler) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.then = then

    def __call__(self, run: Run) -> dict[str, Any] | None:
        self.began.set()
        assert self.go_on.wait(PATIENCE)
        return self.then(run)


def noting(worked: list[str]) -> Handler:
    """A handler that says who ran."""

    def handler(run: Run) -> dict[str, Any]:
        worked.append(run.holder)
        return {"by": run.holder}

    return handler


# ---- one worker at a time ----------------------------------------------------------------------------------


def test_of_two_runs_at_once_one_works(new_job: NewJob, session: Session, threads: ThreadPoolExecutor) -> None:
    job_id, worked = new_job(), list[str]()
    slow = Stepping(noting(worked))
    first = threads.submit(run_job, job_id, slow)
    assert slow.began.wait(PATIENCE)
    others = [threads.submit(run_job, job_id, noting(worked)) for _ in range(4)]
    assert [other.result(PATIENCE) for other in others] == [None] * 4
    slow.go_on.set()
    first.result(PATIENCE)
    run_job(job_id, noting(worked))
    job = look(session, job_id)
    assert (job.state, job.result, job.tries) == ("succeeded", {"by": worked[0]}, 1)
    assert len(worked) == 1
    assert job.lease_holder is None
    assert job.started_at is not None
    assert job.finished_at is not None


def test_a_long_step_does_not_lose_the_lease(new_job: NewJob, session: Session, threads: ThreadPoolExecutor) -> None:
    job_id, worked = new_job(), list[str]()
    slow = Stepping(lambda run: {})
    first = threads.submit(run_job, job_id, slow)
    assert slow.began.wait(PATIENCE)
    until = time.monotonic() + 2.5 * LEASE
    while time.monotonic() < until:
        run_job(job_id, noting(worked))
        time.sleep(LEASE / 10)
    slow.go_on.set()
    first.result(PATIENCE)
    assert (look(session, job_id).state, worked) == ("succeeded", [])


def test_who_lost_the_lease_commits_nothing_and_the_second_run_goes_on(
    new_job: NewJob, session: Session, threads: ThreadPoolExecutor
) -> None:
    job_id = new_job()

    def work(run: Run) -> dict[str, Any]:
        with run.transaction() as writing:
            next_snapshot(writing)
            run.tell(writing, done=1)
        return {"by": run.holder}

    frozen, second = Stepping(work), Stepping(work)
    first = threads.submit(run_job, job_id, frozen)
    assert frozen.began.wait(PATIENCE)
    change(session, job_id, lease_until=long_ago())  # as if its process had stood still
    other = threads.submit(run_job, job_id, second)
    assert second.began.wait(PATIENCE)
    holder = look(session, job_id).lease_holder
    frozen.go_on.set()
    first.result(PATIENCE)
    assert (look(session, job_id).state, look(session, job_id).lease_holder) == ("running", holder)
    assert (look(session, job_id).done, current_snapshot(session)) == (0, 0)
    second.go_on.set()
    other.result(PATIENCE)
    job = look(session, job_id)
    assert (job.state, job.result, job.done, current_snapshot(session)) == ("succeeded", {"by": holder}, 1, 1)


def test_who_was_cancelled_while_it_stood_still_commits_nothing(
    client: TestClient, new_job: NewJob, session: Session, threads: ThreadPoolExecutor
) -> None:
    job_id = new_job()

    def work(run: Run) -> dict[str, Any]:
        run.interrupted = None  # it has not noticed yet
        with run.transaction() as writing:
            next_snapshot(writing)
        return {"done": True}

    frozen = Stepping(work)
    first = threads.submit(run_job, job_id, frozen)
    assert frozen.began.wait(PATIENCE)
    session.execute(update(Job).where(Job.id == job_id).values(lease_until=long_ago()))
    with_lock = session.get_one(Job, job_id, populate_existing=True)
    service.cancel(session, with_lock, owner=None)
    session.commit()
    assert client.get(f"/jobs/{job_id}").json()["state"] == "cancelled"
    frozen.go_on.set()
    first.result(PATIENCE)
    job = look(session, job_id)
    assert (job.state, job.result, current_snapshot(session)) == ("cancelled", None, 0)


def test_the_job_of_a_dead_worker_is_taken_over(new_job: NewJob, session: Session) -> None:
    job_id = new_job(state="running", lease_holder="dead", lease_until=long_ago(), tries=1, done=3)
    run_job(job_id, lambda run: {"taken": "over"})
    job = look(session, job_id)
    assert (job.state, job.result, job.tries, job.done) == ("succeeded", {"taken": "over"}, 2, 3)


def test_a_job_that_kills_its_workers_fails_at_last(new_job: NewJob, session: Session) -> None:
    job_id, worked = new_job(state="running", lease_holder="dead", lease_until=long_ago(), tries=MAX_TRIES), list[str]()
    run_job(job_id, noting(worked))
    job = look(session, job_id)
    assert (job.state, worked) == ("failed", [])
    assert job.error is not None
    assert job.error["type"] == "worker-died"


# ---- cancelling and handing back ---------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once(client: TestClient, new_job: NewJob, session: Session) -> None:
    job_id, worked = new_job(), list[str]()
    answer = client.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    run_job(job_id, noting(worked))
    assert (look(session, job_id).state, worked) == ("cancelled", [])
    assert client.delete(f"/jobs/{job_id}").json()["finished_at"] == answer.json()["finished_at"]


def test_a_running_job_stops_when_it_is_cancelled_and_keeps_what_it_has_done(
    client: TestClient, new_job: NewJob, session: Session, threads: ThreadPoolExecutor
) -> None:
    job_id = new_job()

    def endless(run: Run) -> None:
        while True:
            with run.transaction() as writing:
                run.tell(writing, done=1)
            time.sleep(0.02)

    running = threads.submit(run_job, job_id, endless)
    until(lambda: look(session, job_id).done > 2)
    assert client.delete(f"/jobs/{job_id}").json()["state"] == "running"
    running.result(PATIENCE)
    job = client.get(f"/jobs/{job_id}").json()
    assert job["state"] == "cancelled"
    assert job["progress"]["done"] > 2
    assert job["finished_at"]


def test_a_finished_job_is_not_cancelled(client: TestClient, new_job: NewJob) -> None:
    job_id = new_job(state="succeeded", result={"records": 3})
    assert client.delete(f"/jobs/{job_id}").json()["state"] == "succeeded"


def test_a_worker_that_ends_hands_its_job_back(new_job: NewJob, session: Session, threads: ThreadPoolExecutor) -> None:
    job_id = new_job(tries=3)

    def endless(run: Run) -> None:
        while True:
            run.checkpoint()
            time.sleep(0.02)

    running = threads.submit(run_job, job_id, endless)
    until(lambda: look(session, job_id).state == "running")
    stopping.set()
    try:
        running.result(PATIENCE)
    finally:
        stopping.clear()
    job = look(session, job_id)
    assert (job.state, job.tries, job.lease_holder, job.finished_at) == ("queued", 0, None, None)
    assert waiting("ingest") == 1
    run_job(job_id, lambda run: {})
    assert look(session, job_id).state == "succeeded"


# ---- failing and trying again ------------------------------------------------------------------------------


def fail_with(error: Exception) -> Handler:
    def handler(run: Run) -> None:
        raise error

    return handler


@pytest.mark.parametrize(
    "error", [Unavailable("The store sleeps."), OSError("disk"), RuntimeError("a fault of ours")], ids=repr
)
def test_a_job_is_tried_again_after_a_pause_that_grows_and_fails_in_the_end(
    new_job: NewJob, session: Session, error: Exception
) -> None:
    job_id, pauses = new_job(), list[int]()
    for _ in range(MAX_TRIES - 1):
        run_job(job_id, fail_with(error))
        job = look(session, job_id)
        assert (job.state, job.finished_at) == ("queued", None)
        pauses.append(round((job.not_before - session.scalars(select(func.now())).one()).total_seconds()))
        run_job(job_id, lambda run: {"too": "early"})
        assert look(session, job_id).state == "queued"
        change(session, job_id, not_before=func.now())
    assert pauses == [2, 4, 8, 16, 32]
    run_job(job_id, fail_with(error))
    job = look(session, job_id)
    assert job.state == "failed"
    assert job.error == {"type": getattr(error, "type", type(error).__name__), "detail": str(error)}


def test_what_cannot_be_mended_fails_at_once_and_says_why(client: TestClient, new_job: NewJob) -> None:
    job_id = new_job()
    run_job(job_id, fail_with(Unprocessable("This is no package.", member="a.txt")))
    job = client.get(f"/jobs/{job_id}").json()
    assert (job["state"], job["progress"]["done"]) == ("failed", 0)
    assert job["error"] == {"type": "invalid-request", "detail": "This is no package.", "member": "a.txt"}


@pytest.mark.parametrize("kind", [LineworkError, RuntimeError])
def test_an_error_that_repeats_bytes_postgres_refuses_can_be_written_down(
    new_job: NewJob, session: Session, kind: type[Exception]
) -> None:
    job_id = new_job()
    run_job(job_id, fail_with(kind("title\x00 \ud800")))
    error = look(session, job_id).error
    assert error is not None
    assert error["detail"] == "title? ?"


def test_what_no_second_try_can_mend_is_not_tried_again(new_job: NewJob, session: Session) -> None:
    def endless(run: Run) -> dict[str, Any]:
        return endless(run)

    job_id = new_job()
    run_job(job_id, endless)
    job = look(session, job_id)
    assert (job.state, job.tries, (job.error or {})["type"]) == ("failed", 1, "RecursionError")


def test_where_the_outcome_cannot_be_written_the_log_has_why_and_what_it_was(
    new_job: NewJob, session: Session, engine: Engine
) -> None:
    def fail_while_the_database_goes_away(run: Run) -> dict[str, Any]:
        session.execute(text("ALTER TABLE jobs RENAME TO jobs_gone"))
        session.commit()
        raise OSError("the disk of the source is gone")

    job_id = new_job()
    with structlog.testing.capture_logs() as lines:
        run_job(job_id, fail_while_the_database_goes_away)
    session.execute(text("ALTER TABLE jobs_gone RENAME TO jobs"))
    session.commit()
    line = next(line for line in lines if line["event"] == "outcome_not_written")
    assert "jobs" in line["error"]
    assert line["job_error"] == {"type": "OSError", "detail": "the disk of the source is gone"}


def test_one_bad_item_behind_good_ones_is_not_tried_for_ever(new_job: NewJob, session: Session) -> None:
    job_id = new_job()

    def counts_anew_and_breaks(run: Run) -> None:
        run.start_counting()
        with run.transaction() as writing:
            run.tell(writing, done=10, skipped=6)
        raise RuntimeError("item 17")

    for _ in range(MAX_TRIES):
        run_job(job_id, counts_anew_and_breaks)
        assert look(session, job_id).state == "queued"
        change(session, job_id, not_before=func.now())
    run_job(job_id, counts_anew_and_breaks)
    job = look(session, job_id)
    assert (job.state, job.done, job.skipped) == ("failed", 10, 6)


def test_a_job_that_gets_further_each_time_is_given_time(new_job: NewJob, session: Session) -> None:
    job_id = new_job()

    def does_a_little_and_breaks(run: Run) -> None:
        with run.transaction() as writing:
            run.tell(writing, done=1)
        raise OSError("the network again")

    for _ in range(2 * MAX_TRIES):
        run_job(job_id, does_a_little_and_breaks)
        change(session, job_id, not_before=func.now())
    run_job(job_id, lambda run: {})
    job = look(session, job_id)
    assert (job.state, job.done, job.error) == ("succeeded", 2 * MAX_TRIES, None)


def test_progress_is_what_was_committed(
    client: TestClient, new_job: NewJob, session: Session, threads: ThreadPoolExecutor
) -> None:
    job_id, step, stepped = new_job(), threading.Semaphore(0), threading.Semaphore(0)

    def handler(run: Run) -> dict[str, Any]:
        run.start_counting(total=4)
        for outcome in ("done", "skipped", "failed", "done"):
            assert step.acquire(timeout=PATIENCE)
            with run.transaction() as writing:
                run.tell(writing, **{outcome: 1})
            stepped.release()
        return {}

    running = threads.submit(run_job, job_id, handler)
    seen = []
    for _ in range(4):
        step.release()
        assert stepped.acquire(timeout=PATIENCE)
        seen.append(client.get(f"/jobs/{job_id}").json()["progress"])
    running.result(PATIENCE)
    assert [(p["total"], p["done"], p["skipped"], p["failed"]) for p in seen] == [
        (4, 1, 0, 0), (4, 1, 1, 0), (4, 1, 1, 1), (4, 2, 1, 1),
    ]  # fmt: skip


def test_a_job_never_says_that_it_has_done_more_than_there_is(new_job: NewJob, session: Session) -> None:
    totals: list[int | None] = []

    def work(run: Run) -> None:
        for total, more in [(None, 3), (5, 1), (None, 1), (None, 2)]:
            with run.transaction() as told:
                run.tell(told, total=total, done=more)
            totals.append(look(session, job_id).total)

    job_id = new_job()
    run_job(job_id, work)
    assert totals == [None, 5, 5, 7]


def test_progress_of_a_transaction_that_fails_is_not_counted(new_job: NewJob, session: Session) -> None:
    job_id = new_job()

    def handler(run: Run) -> None:
        with run.transaction() as writing:
            run.tell(writing, done=5)
            raise OSError("in the middle")

    run_job(job_id, handler)
    assert look(session, job_id).done == 0
