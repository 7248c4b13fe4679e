"""What came of a batch."""

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api import cursors
from linework_api.batches.schemas import BatchAnswer, BatchParams
from linework_api.search import records
from linework_core.errors import NotFound, Unprocessable
from linework_core.jobs import service as jobs
from linework_core.tables import BatchQuery, Job, Search

PLACE: TypeAdapter[tuple[UUID, int]] = TypeAdapter(tuple[UUID, cursors.Ordinal])


def find(session: Session, job_id: UUID, *, owner: str | None) -> tuple[Job, BatchParams]:
    """The job and what it was told. Raises NotFound, also for another owner's (`owner` None reads all)."""
    job = jobs.find(session, job_id, owner=owner)
    if job.kind != "search":
        raise NotFound(f"There is no batch {job_id}.")
    return job, BatchParams.model_validate(job.params)


def answers(session: Session, job_id: UUID, params: BatchParams, *, after: int, limit: int) -> list[BatchAnswer]:
    """The queries behind the one with the number `after`, in their order."""
    rows = (
        select(BatchQuery, Search)
        .outerjoin(Search, Search.id == BatchQuery.search_id)
        .where(BatchQuery.job_id == job_id, BatchQuery.ordinal > after)
        .order_by(BatchQuery.ordinal)
    )
    return [_answer(session, query, kept, params) for query, kept in session.execute(rows.limit(limit))]


def position(cursor: str, job_id: UUID) -> int:
    """The number of the last query of a page. Raises Unprocessable."""
    batch, after = cursors.decode(cursor, PLACE)
    if batch != job_id:
        raise Unprocessable("This cursor belongs to another batch.")
    return after


def _answer(session: Session, query: BatchQuery, kept: Search | None, params: BatchParams) -> BatchAnswer:
    answer = None if kept is None else records.read(session, kept).answer
    if answer is not None and not params.options.record:  # the record will be gone tomorrow
        answer.search_id = None
    state: Any = "answered" if answer else "set-aside" if query.searched_at else "waiting"
    facts = {name: getattr(query, name) for name in ("ordinal", "query", "reason", "detail")}
    return BatchAnswer(state=state, answer=answer, **facts)
