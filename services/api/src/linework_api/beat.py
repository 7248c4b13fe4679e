"""The beat: `python -m linework_api.beat` looks every few seconds for work undone, and nudges.

A process of its own rather than a task in a queue: it must not wait behind a long job, and it must find its
way back by itself after Redis or Postgres was away.
"""

import datetime as dt
import signal
import threading

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from linework_core import alive, logs
from linework_core.db import transaction
from linework_core.errors import Unavailable
from linework_core.jobs.reconcile import reconcile
from linework_core.settings import Settings, get_settings
from linework_core.store import FAILURES, get_store
from linework_core.sweep import sweep
from linework_core.tables import AuditEntry, BatchQuery, IdempotencyKey, Job, Search

log = structlog.get_logger()
SWEEP_SECONDS = 3600.0
UNRECORDED_FOR = dt.timedelta(days=1)  # the hits of a batch that asked for no records


def forget(settings: Settings) -> None:
    """Delete searches, audit entries and idempotency keys whose time of retention is over; 0 days keep all."""
    for time, days in (
        (Search.created_at, settings.search_retention_days),
        (BatchQuery.searched_at, settings.search_retention_days),
        (AuditEntry.at, settings.audit_retention_days),
        (IdempotencyKey.created_at, settings.idempotency_days),
    ):
        if days:
            with transaction() as session:
                session.execute(delete(time.class_).where(time < func.now() - dt.timedelta(days=days)))
    with transaction() as session:
        _forget_unrecorded(session)


def _forget_unrecorded(session: Session) -> None:
    """Delete the queries of batches with `record=false`, and what was found, once there was a day to fetch it."""
    unrecorded = Job.params["options"]["record"].astext == "false"
    over = Job.finished_at < func.now() - UNRECORDED_FOR
    batches = select(Job.id).where(Job.kind == "search", unrecorded, over)
    of_them = BatchQuery.job_id.in_(batches)
    session.execute(delete(Search).where(Search.id.in_(select(BatchQuery.search_id).where(of_them))))
    session.execute(delete(BatchQuery).where(of_them))


def sweep_hourly(settings: Settings, ended: threading.Event) -> None:
    """Delete what ended jobs left in the object store, now and every hour. For a thread: a store may hang."""
    while True:
        try:
            log.info("swept", objects=len(sweep(settings, get_store())))
        except (*FAILURES, Unavailable, SQLAlchemyError) as error:  # the store or the database is away
            log.warning("sweep_failed", error=str(error).splitlines()[0])
        if ended.wait(SWEEP_SECONDS):
            return


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = get_settings()
    logs.configure("beat", settings.log_level)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    alive.touch(settings.alive_file)
    threading.Thread(target=sweep_hourly, args=(settings, ended), daemon=True).start()
    while not ended.wait(settings.reconcile_seconds):
        alive.touch(settings.alive_file)
        try:
            reconcile()
            forget(settings)
        except SQLAlchemyError as error:  # the database is away; the next beat finds it again
            log.warning("reconcile_failed", error=str(error))


if __name__ == "__main__":
    main()
