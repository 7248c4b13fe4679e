"""Looking for work undone: lost messages and dead workers heal without a person (design, rule 4).

The beat does it every few seconds; `python -m linework_core.jobs.reconcile` does it once.
"""

import structlog
from redis.exceptions import RedisError
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from linework_core import completeness, encoder_removal, encoders, logs
from linework_core.db import get_engine, transaction
from linework_core.jobs import service
from linework_core.queues import nudge, waiting
from linework_core.settings import get_settings

log = structlog.get_logger()


def reconcile() -> None:
    """Make the embed jobs that are missing, clear away removed encoders, and nudge every job that waits for a worker.

    A queue with unread nudges is left alone: what they do not name is named once they are read.
    """
    encoder_removal.sweep(get_engine())
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
    """An embed job for every current index that lacks a drawing, or the vector of a description, it could have.

    A job that is undone finds by itself what came since.
    """
    for encoder in encoders.current(session):
        undone = session.scalar(select(exists().where(service.embeds(encoder))))
        if not undone and completeness.has_work(session, encoder):
            service.ensure_embed_job(session, encoder)


if __name__ == "__main__":
    logs.configure("reconcile", get_settings().log_level)
    reconcile()
