"""Whose turn it is: which due job a worker takes next, and when a long one gives way to others (decision 26).

Callers take turns, and a job's message only says that there is something to do. A worker takes a due job of the
caller who has the fewest running; of several such callers, of the one who has gone without a worker for longest; and
of one caller's jobs the one that has waited longest. All this is read from Postgres, over all workers.
"""

import time
from collections import Counter
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from linework_core.jobs.service import orphaned
from linework_core.tables import Job

# Seconds of new work after which a job may give way. Kinds that are not here keep their worker to the end: what a
# training or an evaluation has loaded would be lost
SLICES_S = {"ingest": 1.0, "search": 1.0, "embed": 10.0, "enrich": 10.0}
LOOK_S = 0.5  # how often a running job looks whether others wait, and how long these give a free worker to come first
_ONE_AT_A_TIME = 7_117_003  # advisory lock: who takes a job sees which jobs the others have just taken


class Turn:
    """A run's turn: how long it has worked, and whether that is enough for now."""

    def __init__(self, job: Job, kinds: Collection[str]) -> None:
        self._job_id = job.id
        self._slice_s = SLICES_S.get(job.kind) if kinds else None
        self._kinds = kinds
        self._furthest = job.furthest
        self._began = time.monotonic()
        self._new_since: float | None = None
        self._next_look = 0.0

    def is_over(self, session: Session, furthest: int) -> bool:
        """To be asked when progress is written: `furthest` is how far the job has ever come.

        Only new work counts, and as much of it is done as it took to come to it again: a job that must read its source
        from the start gets on, too.
        """
        now = time.monotonic()
        if self._slice_s is None or furthest <= self._furthest:
            return False
        if self._new_since is None:
            self._new_since = now
        if now < self._next_look or now - self._new_since < max(self._slice_s, self._new_since - self._began):
            return False
        self._next_look = now + LOOK_S
        return should_give_way(session, self._job_id, self._kinds)


def take_next(session: Session, kinds: Collection[str]) -> Job | None:
    """The due job of these kinds whose turn it is, locked until the transaction ends; None if there is none."""
    session.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
    running = select(Job.owner, func.count().label("jobs")).where(Job.kind.in_(kinds), _is_running())
    busy = running.group_by(Job.owner).subquery()
    other = aliased(Job)
    served = [
        select(func.max(other.taken_at)).where(other.owner == Job.owner, other.kind == kind).scalar_subquery()
        for kind in kinds
    ]
    waiting = select(Job).outerjoin(busy, busy.c.owner == Job.owner).where(Job.kind.in_(kinds), orphaned())
    in_turn: Select[Job] = waiting.order_by(
        func.coalesce(busy.c.jobs, 0), func.greatest(*served).nulls_first(), Job.not_before, Job.created_at, Job.id
    )
    return session.scalars(in_turn.limit(1).with_for_update(of=Job, skip_locked=True)).one_or_none()


def should_give_way(session: Session, job_id: UUID, kinds: Collection[str]) -> bool:
    """Whether a running job should leave its worker to one that waits: to a job of a caller with fewer running, or to
    one of the same caller that has never run, for it may be short.

    Of several jobs that could give way those do that were taken first, one for each LOOK_S that the other has waited:
    so not all of them stop for one.
    """
    mine = (Job.kind.in_(kinds), Job.state.in_(("queued", "running")))
    running = session.execute(select(Job.id, Job.owner).where(*mine, _is_running()).order_by(Job.taken_at)).all()
    jobs_of = Counter(owner for _, owner in running)
    waited = func.extract("epoch", func.clock_timestamp() - func.min(Job.not_before))
    fresh = Job.started_at.is_(None)
    waiting = select(Job.owner, fresh, waited).where(*mine, orphaned()).group_by(Job.owner, fresh)
    for caller, is_fresh, seconds in session.execute(waiting):
        could = [job for job, owner in running if jobs_of[owner] > jobs_of[caller] or (owner == caller and is_fresh)]
        if job_id in could and float(seconds) >= LOOK_S * (1 + could.index(job_id)):
            return True
    return False


def _is_running() -> ColumnElement[bool]:
    return and_(Job.state == "running", Job.lease_until > func.now())
