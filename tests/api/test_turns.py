"""Whose turn it is: callers take turns, and short work does not wait behind long."""

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_api import worker
from linework_api.search.service import SearchService
from linework_core.jobs import turns
from linework_core.jobs.runner import Run, run_next
from linework_core.queues import waiting
from linework_core.tables import Encoder, Job, Search
from linework_office import plan, write_weeks
from tests.api.batching import DESIGNS, ask
from tests.api.conftest import NewJob, change, count, load, long_ago, look
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("environment")
KINDS = ("ingest", "search", "train")


def ahead() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


@pytest.fixture
def quick_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that a test can wait for."""
    monkeypatch.setattr(turns, "SLICES_S", dict.fromkeys(turns.SLICES_S, 0.05))
    monkeypatch.setattr(turns, "LOOK_S", 0.02)


class Worker:
    """Runs jobs of `params["items"]` items, and notes whose they are. An item is done for each `items.release()`."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.jobs: list[UUID] = []
        self.items = threading.Semaphore(0)

    def __call__(self, run: Run) -> None:
        self.served.append(run.owner)
        self.jobs.append(run.job_id)
        with run.transaction() as session:
            done = session.get_one(Job, run.job_id).done
        for _ in range(run.params.get("items", 0) - done):
            run.checkpoint()
            assert self.items.acquire(timeout=PATIENCE)
            with run.transaction() as session:
                run.tell(session, done=1)

    def nudged(self) -> None:
        """As a worker does that reads a message, whichever it is."""
        run_next(dict.fromkeys(KINDS, self))

    def go_on_until(self, happens: Any) -> None:
        """Let items be done, one after another, until it is so."""

        def one_more() -> bool:
            self.items.release()
            return bool(happens())

        until(one_more, pause=0.01)


# ---- whose job is next


def test_callers_take_turns_whoever_asked_first(new_job: NewJob, session: Session) -> None:
    for owner in ("anna", "anna", "anna", "ben", "ben", "cleo"):
        new_job(owner=owner)
    office = Worker()
    for _ in range(7):
        office.nudged()
    assert office.served == ["anna", "ben", "cleo", "anna", "ben", "anna"]


def test_kinds_of_jobs_are_no_second_helping(new_job: NewJob, session: Session) -> None:
    for owner, kind in [("anna", "ingest"), ("anna", "search"), ("ben", "ingest"), ("anna", "ingest")]:
        new_job(kind, owner=owner)
    office = Worker()
    for _ in range(4):
        office.nudged()
    assert office.served == ["anna", "ben", "anna", "anna"]


def test_a_caller_without_running_jobs_comes_before_one_who_has_waited_longer(
    new_job: NewJob, session: Session, threads: ThreadPoolExecutor
) -> None:
    new_job(owner="ben")
    office = Worker()
    office.nudged()
    new_job(owner="anna", params={"items": 1}, not_before=long_ago())
    new_job(owner="anna", not_before=long_ago())
    running = threads.submit(office.nudged)
    until(lambda: office.served == ["ben", "anna"])
    new_job(owner="ben")
    office.nudged()
    assert office.served == ["ben", "anna", "ben"]
    office.items.release()
    running.result(PATIENCE)


def test_workers_that_are_nudged_at_once_take_jobs_of_different_callers(
    new_job: NewJob, session: Session, threads: ThreadPoolExecutor
) -> None:
    for owner in ("anna", "anna", "anna", "ben", "cleo"):
        new_job(owner=owner, params={"items": 1})
    office = Worker()
    running = [threads.submit(office.nudged) for _ in range(3)]
    until(lambda: len(office.served) == 3)
    assert sorted(office.served) == ["anna", "ben", "cleo"]
    office.items.release(3)
    for one in running:
        one.result(PATIENCE)


def test_one_that_was_cancelled_or_has_failed_too_often_keeps_no_other_from_its_turn(
    new_job: NewJob, session: Session
) -> None:
    ended = [
        new_job(state="running", lease_until=long_ago(), cancel_requested=True, not_before=long_ago()),
        new_job(state="running", lease_until=long_ago(), tries=99, not_before=long_ago()),
    ]
    office, job_id = Worker(), new_job()
    office.nudged()
    assert office.jobs == [job_id]
    assert [look(session, one).state for one in ended] == ["cancelled", "failed"]


# ---- when a long one gives way


@pytest.mark.usefixtures("quick_turns")
@pytest.mark.parametrize("other", ["ben", "anna"])
def test_a_long_job_gives_way_to_a_short_one_and_goes_on_where_it_was(
    new_job: NewJob, session: Session, threads: ThreadPoolExecutor, other: str
) -> None:
    office, long = Worker(), new_job(owner="anna", params={"items": 10**6})
    running = threads.submit(office.nudged)
    office.go_on_until(lambda: look(session, long).done > 2)
    short = new_job(owner=other)
    office.go_on_until(running.done)
    job = look(session, long)
    assert (job.state, job.lease_holder, job.finished_at, job.tries) == ("queued", None, None, 0)
    assert waiting("ingest") == 1
    before = job.done
    change(session, long, params={"items": before + 100})
    office.items.release(200)
    office.nudged()
    assert office.jobs == [long, short]
    office.nudged()
    assert (office.jobs, look(session, long).done) == ([long, short, long], before + 100)
    assert look(session, long).state == "succeeded"


@pytest.mark.usefixtures("quick_turns")
def test_long_jobs_of_two_callers_take_turns_on_one_worker(new_job: NewJob, session: Session) -> None:
    jobs = [new_job(owner=owner, params={"items": 10**6}) for owner in ("anna", "ben")]
    office = Worker()
    office.items.release(10**6)
    for _ in range(6):
        office.nudged()
    assert office.served == ["anna", "ben"] * 3
    assert all(look(session, job_id).done > 0 for job_id in jobs)


def test_not_all_stop_for_one(new_job: NewJob, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of long jobs of two callers the one that was taken first gives way to a third's; the other if it still waits."""
    monkeypatch.setattr(turns, "LOOK_S", 1000.0)
    now = dt.datetime.now(dt.UTC)
    held = {"state": "running", "lease_until": ahead()}
    later = new_job(owner="anna", **held, taken_at=now - dt.timedelta(seconds=5000))
    first = new_job(owner="ben", **held, taken_at=now - dt.timedelta(seconds=6000))
    waiting_job = new_job(owner="cleo")
    for seconds, expected in [(500, (False, False)), (1500, (True, False)), (2500, (True, True))]:
        change(session, waiting_job, not_before=now - dt.timedelta(seconds=seconds))
        give_way = tuple(turns.should_give_way(session, job_id, ["ingest"]) for job_id in (first, later))
        assert give_way == expected


def works_on(office: Worker, session: Session, **job: Any) -> bool:
    """Whether a job of some 60 items, each of which takes 4 ms or more, is done in one run."""
    added = Job(**{"kind": "ingest", "owner": "anna", "params": {"items": 60}, "not_before": long_ago(), **job})
    session.add(added)
    session.commit()

    def slowly() -> None:
        for _ in range(60):
            office.items.release()
            time.sleep(0.004)

    thread = threading.Thread(target=slowly)
    thread.start()
    office.nudged()
    thread.join()
    assert office.jobs == [added.id]
    return look(session, added.id).state == "succeeded"


@pytest.mark.usefixtures("quick_turns")
@pytest.mark.parametrize(
    ("waits", "gives_way"),
    [
        ({"owner": "ben"}, True),
        ({"owner": "anna"}, True),
        ({"owner": "anna", "started_at": long_ago()}, False),  # her own, which has had a turn
        ({"owner": "ben", "kind": "enrich"}, False),  # not for this worker
        ({"owner": "ben", "not_before": ahead()}, False),  # not due
        ({"owner": "ben", "state": "running", "lease_until": ahead()}, False),  # taken by another worker
    ],
)
def test_who_is_given_way_to(new_job: NewJob, session: Session, waits: dict[str, Any], gives_way: bool) -> None:
    new_job(**waits)
    assert works_on(Worker(), session) is not gives_way


@pytest.mark.usefixtures("quick_turns")
def test_a_caller_who_has_as_many_running_waits(new_job: NewJob, session: Session) -> None:
    new_job(owner="ben", state="running", lease_until=ahead())
    new_job(owner="ben")
    assert works_on(Worker(), session, owner="anna")


@pytest.mark.usefixtures("quick_turns")
def test_a_training_keeps_its_worker(new_job: NewJob, session: Session) -> None:
    new_job("train", owner="ben")
    assert works_on(Worker(), session, kind="train")


@pytest.mark.usefixtures("quick_turns")
def test_a_job_gives_way_only_after_new_work(new_job: NewJob, session: Session) -> None:
    """Or one whose runs begin anew would never end."""
    new_job(owner="ben")
    assert works_on(Worker(), session, furthest=10**6)


# ---- batches beside an ingest


def test_a_small_ingest_does_not_wait_for_four_batches_of_another_caller(
    client: TestClient,
    session: Session,
    encoder: Encoder,
    fresh_worker: None,
    threads: ThreadPoolExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two threads, as the worker has: the ingest is taken while all four batches still have queries."""
    load(session, encoder, DESIGNS)
    write_weeks(tmp_path / "inbox", plan(designs=1, seed=3), size=0.25)
    batches = [UUID(ask(client, {"patents": [design.id for design in DESIGNS]})["id"]) for _ in range(4)]
    for job_id in batches:
        change(session, job_id, owner="anna")
    hurry, closing, keep = threading.Event(), threading.Event(), SearchService.keep

    def slowly(self: SearchService, question: Any) -> Any:
        hurry.wait(0.2)
        return keep(self, question)

    def work() -> None:
        while not closing.wait(0.02):
            worker.run("whichever")

    monkeypatch.setattr(SearchService, "keep", slowly)
    monkeypatch.setattr("linework_api.batches.runner.TOGETHER", 2)
    monkeypatch.setattr("linework_api.batches.runner.AT_ONCE", 1)
    working = [threads.submit(work) for _ in range(2)]
    try:
        until(lambda: sum(look(session, job_id).done for job_id in batches) > 10)
        ingest = UUID(client.post("/ingest", json={"uri": (tmp_path / "inbox").as_uri()}).json()["id"])
        until(lambda: look(session, ingest).taken_at)
        assert all(look(session, job_id).done < len(DESIGNS) for job_id in batches)
        hurry.set()
        until(lambda: all(look(session, job_id).state == "succeeded" for job_id in (ingest, *batches)))
    finally:
        hurry.set()
        closing.set()
    for one in working:
        one.result(PATIENCE)
    assert [look(session, job_id).done for job_id in (ingest, *batches)] == [1, *[len(DESIGNS)] * 4]
    assert count(session, Search) == 4 * len(DESIGNS)
