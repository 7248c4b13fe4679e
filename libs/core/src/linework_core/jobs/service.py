"""What may happen to a job from outside: made, listed, read, cancelled, found undone."""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_core import encoders, tracing
from linework_core.db import after_commit
from linework_core.errors import Forbidden, NotFound
from linework_core.jobs import objects
from linework_core.queues import nudge
from linework_core.tables import Encoder, Job

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
UNDONE = ("queued", "running")
SHARED = "linework"  # owner of jobs that serve everyone: all callers may read them


class Progress(BaseModel):
    """Counts of items. `total` is null until it is known."""

    total: int | None
    done: int
    skipped: int
    failed: int


class JobView(BaseModel):
    """A job as callers see it."""

    id: UUID
    kind: str
    state: State
    progress: Progress
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobView":
        progress = Progress(total=job.total, done=job.done, skipped=job.skipped, failed=job.failed)
        fields = {name: getattr(job, name) for name in cls.model_fields if name != "progress"}
        return cls(progress=progress, **fields)


def create(session: Session, kind: str, params: dict[str, Any], *, owner: str) -> Job:
    """A queued job; its workers are told once the transaction has been committed."""
    job = Job(kind=kind, params=params, owner=owner, origin=tracing.origin())
    session.add(job)
    session.flush()
    session.refresh(job)
    job_id = job.id
    after_commit(session, lambda: nudge(kind, job_id))
    return job


def ensure_embed_job(session: Session, encoder: Encoder) -> Job:
    """The one undone embed job of an encoder, made where there is none. It is nobody's own."""
    params = {"encoder": encoder.encoder_id}
    job = None
    while job is None:  # the job that was in the way may end between the two statements
        made = insert(Job).values(kind="embed", params=params, owner=SHARED, origin=tracing.origin())
        session.execute(made.on_conflict_do_nothing())
        job = session.scalars(select(Job).where(embeds(encoder))).one_or_none()
    job_id = job.id
    after_commit(session, lambda: nudge("embed", job_id))
    return job


def embeds(encoder: Encoder) -> ColumnElement[bool]:
    """The undone embed job of an encoder."""
    return and_(Job.kind == "embed", Job.state.in_(UNDONE), Job.params["encoder"].astext == encoder.encoder_id)


def find(session: Session, job_id: UUID, *, owner: str | None) -> Job:
    """Raises NotFound, also for a job that belongs to another owner (`owner` None sees all)."""
    job = session.get(Job, job_id)
    if job is None or (owner is not None and job.owner not in (owner, SHARED)):
        raise NotFound(f"There is no job {job_id}.")
    return job


def page(
    session: Session,
    *,
    owner: str | None,
    kind: str | None,
    state: str | None,
    after: tuple[dt.datetime, UUID] | None,
    limit: int,
) -> Sequence[Job]:
    """Jobs, the newest first, after the one at (created_at, id)."""
    wanted: list[ColumnElement[bool]] = []
    if owner is not None:
        wanted.append(Job.owner == owner)
    if kind is not None:
        wanted.append(Job.kind == kind)
    if state is not None:
        wanted.append(Job.state == state)
    if after is not None:
        wanted.append(tuple_(Job.created_at, Job.id) < after)
    newest_first = select(Job).where(*wanted).order_by(Job.created_at.desc(), Job.id.desc())
    return session.scalars(newest_first.limit(limit)).all()


def cancel(session: Session, job: Job, *, owner: str | None) -> None:
    """Cancel at once what nobody works on; ask the holder of the lease to stop otherwise.

    Raises Forbidden for a job that serves others, too (`owner` None may cancel all).
    """
    if owner is not None and job.owner != owner:
        raise Forbidden("This job serves everyone; an admin may cancel it.")
    session.refresh(job, with_for_update=True)
    if job.state not in UNDONE:
        return
    job.cancel_requested = True
    if job.kind == "embed":  # else the beat would make it anew
        encoders.pause(session, job.params["encoder"])
    held = session.scalar(select(Job.lease_until > func.now()).where(Job.id == job.id))
    if not held:
        job.state, job.finished_at = "cancelled", func.now()
        after_commit(session, partial(objects.discard, job.id, job.kind, job.params))
    session.flush()
    session.refresh(job)


def orphaned() -> ColumnElement[bool]:
    """Undone, due, and held by no living worker."""
    free = or_(Job.lease_until.is_(None), Job.lease_until < func.now())
    return and_(Job.state.in_(UNDONE), Job.not_before <= func.now(), free)


def find_orphans(session: Session) -> Sequence[Job]:
    """Jobs that wait for a worker, the oldest first; those whose cancelling died with their worker end here."""
    ended = update(Job).where(orphaned(), Job.cancel_requested)
    ended = ended.values(state="cancelled", finished_at=func.now())
    for job_id, kind, params in session.execute(ended.returning(Job.id, Job.kind, Job.params)):
        after_commit(session, partial(objects.discard, job_id, kind, params))
    return session.scalars(select(Job).where(orphaned()).order_by(Job.created_at)).all()
