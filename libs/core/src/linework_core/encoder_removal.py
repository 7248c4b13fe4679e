"""Encoders that are retired for good: what `DELETE /encoders/{id}` marks, the beat clears away.

The encoder's row stays, for records name it. Its vectors, graphs, costs and failures go, in steps that each may be
repeated: whatever is interrupted is taken up again at the next beat.
"""

import datetime as dt

import structlog
from sqlalchemy import Connection, Engine, exists, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from linework_core import encoders, vector_index
from linework_core.corpus import current_snapshot
from linework_core.db import transaction
from linework_core.errors import Conflict
from linework_core.jobs import service
from linework_core.tables import DescriptionVector, Encoder, Job, VectorIndex

log = structlog.get_logger()
GRACE = dt.timedelta(minutes=1)  # for searches that began while the index was still active
LOCK_TIMEOUT = "2s"  # whoever is in the way is let pass; the next beat tries again
ROWS = 10_000  # description vectors a statement …
STATEMENTS = 50  # … and so many of these a beat


def remove(session: Session, encoder: Encoder) -> None:
    """Retire an encoder for good. Asking twice is asking once. Raises Conflict for the one that answers searches."""
    encoders.lock(session)
    index = session.get_one(VectorIndex, encoder.number, populate_existing=True)
    if index.state == "active":
        raise Conflict("This encoder's index answers searches: activate another one first.")
    if index.removed_at is not None:
        return
    index.state, index.removed_at, index.emptied_in = "retired", func.now(), current_snapshot(session)
    index.retired_at = index.created_at  # a release that knows no removal takes the one retired last as its standby
    index.complete_at = index.tried_at = index.described_at = index.texts_tried_at = None
    index.measured = None
    for job in session.scalars(select(Job).where(service.embeds(encoder))):
        service.cancel(session, job, owner=None)
    session.flush()


def sweep(engine: Engine, *, grace: dt.timedelta = GRACE) -> None:
    """Clear away what is left of removed encoders that no job works on any more."""
    with transaction(engine) as session:
        removed = select(Encoder).join(VectorIndex, VectorIndex.encoder == Encoder.number)
        removed = removed.where(VectorIndex.removed_at < func.now() - grace)
        over = [one for one in session.scalars(removed) if remains(session, one) and not _worked_on(session, one)]
        session.expunge_all()
    for encoder in over:
        try:
            _clear(engine, encoder)
        except DBAPIError as error:
            log.warning("encoder_not_cleared_yet", encoder=encoder.encoder_id, error=str(error.orig).strip())


def remains(session: Session, encoder: Encoder) -> bool:
    """Whether some of the encoder's vectors are still there."""
    if session.scalar(select(func.to_regclass(encoders.partition(encoder)))):
        return True
    return bool(session.scalar(select(exists().where(DescriptionVector.encoder == encoder.number))))


def _worked_on(session: Session, encoder: Encoder) -> bool:
    return bool(session.scalar(select(exists().where(service.embeds(encoder)))))


def _clear(engine: Engine, encoder: Encoder) -> None:
    with vector_index.alone(engine, encoder) as connection:
        removed = text("SELECT removed_at IS NOT NULL FROM indexes WHERE encoder = :encoder")
        if connection is None or not connection.scalar(removed, {"encoder": encoder.number}):
            return  # another process is at it, or it was registered again meanwhile
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        _drop_partition(connection, encoder)
        number = {"encoder": encoder.number}
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {vector_index.of_descriptions(encoder)}"))
        for table in ("embed_failures", "description_vector_failures"):
            connection.execute(text(f"DELETE FROM {table} WHERE encoder = :encoder"), number)
        some = text(
            "DELETE FROM description_vectors WHERE ctid = ANY(ARRAY("
            f"SELECT ctid FROM description_vectors WHERE encoder = :encoder LIMIT {ROWS}))"
        )
        for _ in range(STATEMENTS):
            if not connection.execute(some, number).rowcount:
                log.info("encoder_cleared", encoder=encoder.encoder_id)
                return


def _drop_partition(connection: Connection, encoder: Encoder) -> None:
    """Detached first, for that lets readers and writers of the other partitions go on."""
    leaf = encoders.partition(encoder)
    pending = connection.scalar(
        text("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(:leaf)"), {"leaf": leaf}
    )
    if pending is not None:
        how = "FINALIZE" if pending else "CONCURRENTLY"  # one that was interrupted is to be finished
        connection.execute(text(f"ALTER TABLE embeddings DETACH PARTITION {leaf} {how}"))
    connection.execute(text(f"DROP TABLE IF EXISTS {leaf}"))
