"""Looking for work undone: lost messages and dead workers heal without a person (design, rule 4).

The beat does it every few seconds; `python -m linework_core.jobs.reconcile` does it once.
"""

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from linework_core import encoders, logs
from linework_core.db import transaction
from linework_core.jobs import service
from linework_core.queues import nudge, waiting
from linework_core.settings import get_settings
from linework_core.tables import (
    Description,
    DescriptionVector,
    DescriptionVectorFailure,
    Drawing,
    Embedding,
    EmbedFailure,
    Encoder,
)

log = structlog.get_logger()


def reconcile() -> None:
    """Make the embed jobs that are missing, and nudge every job that waits for a worker.

    A queue with unread nudges is left alone: what they do not name is named once they are read.
    """
    with transaction() as session:
        plan_embedding(session)
        waiting_jobs = [(job.kind, job.id) for job in service.find_orphans(session)]
    try:
        idle = {kind for kind in {kind for kind, _ in waiting_jobs} if waiting(kind) == 0}
    except RedisError as error:
        log.warning("redis_down", error=str(error))
        return
    for kind, job_id in waiting_jobs:
        if kind in idle:
            nudge(kind, job_id)


def plan_embedding(session: Session) -> None:
    """An embed job for every current index that lacks a drawing, or the vector of a description, it could have."""
    for encoder in encoders.current(session):
        drawings = not encoders.note_if_complete(session, encoder) and session.scalar(select(exists(lacking(encoder))))
        texts = not encoders.note_if_described(session, encoder) and session.scalar(
            select(exists(undescribed(encoder)))
        )
        if drawings or texts:
            service.ensure_embed_job(session, encoder)


def lacking(encoder: Encoder) -> Select[int]:
    """Row ids of open drawings without a vector of this encoder, but for those that wait after a failure."""
    embedded = exists().where(Embedding.encoder == encoder.number, Embedding.drawing_row == Drawing.row_id)
    paused = exists().where(
        EmbedFailure.encoder == encoder.number,
        EmbedFailure.drawing_row == Drawing.row_id,
        EmbedFailure.next_try_at > func.now(),
    )
    return select(Drawing.row_id).where(Drawing.removed_in.is_(None), ~embedded, ~paused)


def undescribed(encoder: Encoder) -> Select[int]:
    """Ids of open descriptions without a vector of this encoder, but for those that wait after a failure."""
    embedded = exists().where(
        DescriptionVector.encoder == encoder.number,
        DescriptionVector.drawing_row == Description.drawing_row,
        DescriptionVector.description == Description.id,
    )
    paused = exists().where(
        DescriptionVectorFailure.encoder == encoder.number,
        DescriptionVectorFailure.description == Description.id,
        DescriptionVectorFailure.next_try_at > func.now(),
    )
    return select(Description.id).where(Description.removed_in.is_(None), ~embedded, ~paused)


if __name__ == "__main__":
    logs.configure("reconcile", get_settings().log_level)
    reconcile()
