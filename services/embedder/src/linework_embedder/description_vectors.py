"""The rows of one encoder's description vectors: what is missing, and how vectors and failures are written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from psycopg.types.numeric import Int8
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from linework_core import failures
from linework_core.completeness import DESCRIPTIONS, due
from linework_core.tables import Description, DescriptionVectorFailure, Encoder
from linework_embedder.encoding import Vector


@dataclass(frozen=True, slots=True)
class Missing:
    """A set of texts about a drawing that has no vector yet."""

    description: int
    texts: tuple[str, ...]


def count_missing(session: Session, encoder: Encoder) -> int:
    """How many open sets lack a vector of this encoder and are due."""
    return session.scalar(select(func.count()).select_from(due(DESCRIPTIONS, encoder).subquery())) or 0


def page_of_missing(session: Session, encoder: Encoder, *, after: int, limit: int) -> list[Missing]:
    """Sets that lack a vector, by id, after the given one."""
    rows = due(DESCRIPTIONS, encoder).add_columns(Description.texts).where(Description.id > after)
    found = session.execute(rows.order_by(Description.id).limit(limit))
    return [Missing(number, tuple(one["text"] for one in texts)) for number, texts in found]


def add(session: Session, encoder: Encoder, vectors: Mapping[int, Vector], snapshot: int) -> int:
    """Write vectors, by set, and return how many were taken; each ends the one that its drawing had before.

    Not those of sets that were closed meanwhile, nor those that another worker was quicker with. Call it after
    `next_snapshot`, whose lock keeps a set from being closed in between.
    """
    session.execute(text("CREATE TEMPORARY TABLE fresh (description bigint, vector halfvec) ON COMMIT DROP"))
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy("COPY fresh FROM STDIN (FORMAT BINARY)") as copy:
        for description, vector in vectors.items():
            copy.write_row((Int8(description), HalfVector(vector).to_binary()))
    values = {"encoder": encoder.number, "snapshot": snapshot}
    session.execute(text(_END_OLDER), values)
    added: int = session.execute(text(_ADD), values).rowcount  # type: ignore[attr-defined]
    return added


_END_OLDER = """
    UPDATE description_vectors v SET removed_in = :snapshot
    FROM fresh JOIN descriptions s ON s.id = fresh.description AND s.removed_in IS NULL
    WHERE v.encoder = :encoder AND v.drawing_row = s.drawing_row AND v.removed_in IS NULL AND v.description <> s.id"""
_ADD = """
    INSERT INTO description_vectors (encoder, drawing_row, description, vector, added_in)
    SELECT :encoder, s.drawing_row, s.id, fresh.vector, :snapshot
    FROM fresh JOIN descriptions s ON s.id = fresh.description AND s.removed_in IS NULL
    ON CONFLICT DO NOTHING"""


def record_failures(session: Session, encoder: Encoder, reasons: Mapping[int, str]) -> None:
    """Note why sets have no vector."""
    failed = [{"encoder": encoder.number, "description": one, "reason": reason} for one, reason in reasons.items()]
    failures.record(session, DescriptionVectorFailure, failed)


def forget_failures(session: Session, encoder: Encoder, descriptions: Collection[int]) -> None:
    """These sets have their vectors after all."""
    failure = DescriptionVectorFailure
    failures.forget(session, failure, failure.encoder == encoder.number, failure.description.in_(descriptions))
