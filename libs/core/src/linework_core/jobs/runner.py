"""Running a job under a lease.

A lease is a row with a heartbeat. Whoever holds it writes progress in the same transaction as the work, on
the condition that it still holds the lease: a worker that was thought dead cannot commit anything more.
"""

import datetime as dt
import os
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from opentelemetry import trace
from sqlalchemy import Engine, Update, case, func, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from linework_core import tracing
from linework_core.db import after_commit, get_engine, transaction
from linework_core.errors import LineworkError, Unavailable
from linework_core.failures import storable
from linework_core.jobs import objects, turns
from linework_core.jobs.service import orphaned
from linework_core.jobs.turns import Turn
from linework_core.queues import nudge
from linework_core.settings import get_settings
from linework_core.tables import Job

log = structlog.get_logger()

MAX_TRIES = 6  # starts that get no further than one before; then the job has failed
Handler = Callable[["Run"], dict[str, Any] | None]
stopping = threading.Event()  # set when this process was asked to end; jobs hand their lease back


class Stopped(Exception):
    """Why a run ends early. Not an error: nothing that was committed is lost."""


class Cancelled(Stopped):
    """Somebody cancelled the job."""


class LeaseLost(Stopped):
    """Another worker holds the job now."""


class HandedBack(Stopped):
    """The process ends; another worker may go on."""


class GaveWay(HandedBack):
    """Others wait; this job goes on when it is its turn again."""


class Run:
    """One run of a job by one worker: what its handler may ask and tell."""

    def __init__(self, job: Job, holder: str, engine: Engine, kinds: Collection[str] = ()) -> None:
        """`kinds` are those of the jobs that its worker could run instead."""
        self.job_id: UUID = job.id
        self.kind = job.kind
        self.origin: dict[str, Any] = job.origin
        self.owner = job.owner
        self.params: dict[str, Any] = job.params
        self.result: dict[str, Any] = job.result or {}  # so far, by earlier runs
        self.holder = holder
        self.engine = engine
        self.interrupted: type[Stopped] | None = None
        self._turn = Turn(job, kinds)

    def checkpoint(self) -> None:
        """Call between items. Raises Stopped when the run should end."""
        if self.interrupted is None and stopping.is_set():
            self.interrupted = HandedBack
        if self.interrupted is not None:
            raise self.interrupted

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that cannot commit once the lease is lost: it holds the job's row."""
        self.checkpoint()
        with transaction(self.engine) as session:
            yield session
            self.tell(session)

    def tell(self, session: Session, *, total: int | None = None, **more: int) -> None:
        """Add to `done`, `skipped` or `failed`, and set `total`. Raises LeaseLost.

        Progress is about to be committed, so this is where a run finds that it must give way at its next checkpoint.
        """
        values: dict[str, Any] = {name: getattr(Job, name) + count for name, count in more.items() if count}
        if values:
            reached = Job.done + Job.skipped + Job.failed + sum(more.values())
            # what an earlier run had counted, too, is no progress: else one bad item would be tried for ever
            values["tries"] = case((reached > Job.furthest, 0), else_=Job.tries)
            values["furthest"] = func.greatest(Job.furthest, reached)
            if total is None:  # more has come since it was counted
                values["total"] = case((Job.total.is_not(None), func.greatest(Job.total, reached)))
        if total is not None:
            values["total"] = total
        furthest = self._update(session, values)
        if self._turn.is_over(session, furthest) and self.interrupted is None:
            self.interrupted = GaveWay

    def start_counting(self, *, total: int | None = None, done: int = 0, skipped: int = 0, failed: int = 0) -> None:
        """Begin the counts anew, behind what this run will not go through again: so each item is counted once."""
        with transaction(self.engine) as session:
            self._update(session, {"done": done, "skipped": skipped, "failed": failed, "total": total})

    def mine(self) -> Update:
        """Of the job's row, as long as this run holds it: nobody has taken it over or ended it."""
        return update(Job).where(Job.id == self.job_id, Job.lease_holder == self.holder, Job.state == "running")

    def _update(self, session: Session, values: dict[str, Any]) -> int:
        """Returns how far the job has ever come."""
        statement = self.mine().values(lease_holder=self.holder, **values).returning(Job.furthest)
        furthest = session.execute(statement, execution_options={"synchronize_session": False}).scalar_one_or_none()
        if furthest is None:
            self.interrupted = LeaseLost
            raise LeaseLost
        return furthest


def run_next(handlers: Mapping[str, Handler]) -> None:
    """Take the due job whose turn it is, of the kinds that `handlers` are for, and run it. Does nothing if none is due;
    so a nudge may come twice, or late.
    """
    engine, kinds = get_engine(), tuple(handlers)
    while True:
        with transaction(engine) as session:
            job = turns.take_next(session, kinds)
            run = _acquire(session, job, engine, kinds) if job else None
        if run is not None:
            _work(run, handlers[run.kind])
        if run is not None or job is None:
            return


def run_job(job_id: UUID, handler: Handler, *, engine: Engine | None = None) -> None:
    """Run this job, whosever turn it is. Does nothing if it is taken, done or not yet due."""
    engine = engine or get_engine()
    with transaction(engine) as session:
        free = select(Job).where(Job.id == job_id, orphaned()).with_for_update(skip_locked=True)
        job = session.scalars(free).one_or_none()
        run = _acquire(session, job, engine) if job else None
    if run is not None:
        _work(run, handler)


def run_here(kind: str, params: dict[str, Any], handler: Handler, *, owner: str) -> UUID:
    """Make a job and run it in this process, under a lease from the start: no worker takes it in between."""
    engine = get_engine()
    with transaction(engine) as session:
        job = Job(kind=kind, params=params, owner=owner)
        session.add(job)
        session.flush()
        run = _acquire(session, job, engine)
    if run is not None:
        _work(run, handler)
    return job.id


def _work(run: Run, handler: Handler) -> None:
    """Run the handler under the lease, and write down how it ended."""
    with tracing.job(run.kind, str(run.job_id), run.origin), _heartbeat(run):
        _conclude(run, handler)


def _acquire(session: Session, job: Job, engine: Engine, kinds: Collection[str] = ()) -> Run | None:
    """The job's lease; None for a job that is to be cancelled, or has failed too often: it ends here."""
    if job.cancel_requested or job.tries >= MAX_TRIES:
        job.state = "cancelled" if job.cancel_requested else "failed"
        job.finished_at = func.now()
        job.error = job.error or {"type": "worker-died", "detail": f"Its worker died {job.tries} times."}
        after_commit(session, partial(objects.discard, job.id, job.kind, job.params))
        return None
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    job.state, job.lease_holder, job.lease_until = "running", holder, _lease_end()
    job.taken_at = func.clock_timestamp()
    job.started_at = func.coalesce(Job.started_at, func.now())
    job.tries += 1
    session.flush()
    session.refresh(job)
    return Run(job, holder, engine, kinds)


def _lease_end() -> Any:
    return func.now() + dt.timedelta(seconds=get_settings().lease_seconds)


@contextmanager
def _heartbeat(run: Run) -> Iterator[None]:
    """Prolong the lease from a thread of its own, so that a long step in the handler does not lose it."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(get_settings().lease_seconds / 4):
            try:
                _prolong(run)
            except SQLAlchemyError as error:  # the database may be back before the lease ends
                log.warning("heartbeat_failed", error=str(error))

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _prolong(run: Run) -> None:
    with transaction(run.engine) as session:
        statement = run.mine().values(lease_until=_lease_end()).returning(Job.cancel_requested)
        cancelled = session.execute(statement).scalar_one_or_none()
    if cancelled is None:
        run.interrupted = LeaseLost
    elif cancelled:
        run.interrupted = Cancelled


def _conclude(run: Run, handler: Handler) -> None:
    log.info("job_started", kind=run.kind, params=sorted(run.params))  # names: values hold words and names of files
    try:
        result = handler(run)
    except LeaseLost:
        log.warning("lease_lost")
    except GaveWay:
        _finish(run, state="queued", again=True, not_before=func.now())  # behind those that wait
    except HandedBack:
        _finish(run, state="queued", tries=0, again=True)
    except Cancelled:
        _finish(run, state="cancelled")
    except (Unavailable, DBAPIError, OSError) as error:
        _retry(run, error)
    except LineworkError as error:
        _finish(run, state="failed", error=_told(error))
    except RecursionError as error:  # the same input would end so each time
        log.exception("job_crashed")
        _finish(run, state="failed", error=_told(error))
    except Exception as error:
        log.exception("job_crashed")
        _retry(run, error)
    else:
        _finish(run, state="succeeded", result=result, error=None)


def _told(error: Exception) -> dict[str, Any]:
    """What the job's row says of an error."""
    if isinstance(error, LineworkError):
        told = {"type": error.type, "detail": error.detail, **error.extra}
    else:
        told = {"type": type(error).__name__, "detail": str(getattr(error, "orig", None) or error)}
    return {name: storable(value, 2000) if isinstance(value, str) else value for name, value in told.items()}


def _finish(run: Run, *, again: bool = False, **values: Any) -> None:
    """Give the lease up and write the outcome; the beat heals what cannot be written now."""
    if not again:
        values["finished_at"] = func.now()
    try:
        with transaction(run.engine) as session:
            outcome = run.mine().values(lease_holder=None, lease_until=None, **values)
            kind = session.scalar(outcome.returning(Job.kind))
            if again and kind:
                after_commit(session, lambda: nudge(kind, run.job_id))
    except SQLAlchemyError as error:
        log.warning("outcome_not_written", error=str(error))
        return
    if kind is None:
        log.warning("lease_lost")
    else:
        if not again:
            objects.discard(run.job_id, run.kind, run.params)
        trace.get_current_span().set_attribute("job.state", values["state"])
        log.info("job_ended", state=values["state"])


def _retry(run: Run, error: Exception) -> None:
    """Queue the job again after a pause that doubles with each try, or fail it after the last."""
    problem = _told(error)
    try:
        with transaction(run.engine) as session:
            tries = session.scalar(select(Job.tries).where(Job.id == run.job_id)) or 0
    except SQLAlchemyError as unwritten:  # two errors: what the job ended by, and why that is not in its row
        log.warning("outcome_not_written", error=str(unwritten), job_error=problem)
        return
    if tries >= MAX_TRIES:
        _finish(run, state="failed", error=problem)
        return
    pause = dt.timedelta(seconds=min(2**tries, 300))
    log.warning("job_will_be_tried_again", pause_s=pause.total_seconds(), **problem)
    _finish(run, again=True, state="queued", error=problem, not_before=func.now() + pause)
