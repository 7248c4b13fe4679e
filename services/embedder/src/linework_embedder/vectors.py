"""The rows of one encoder's index: what is missing, and how vectors and failures are written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from linework_core import failures
from linework_core.completeness import DRAWINGS, due
from linework_core.tables import Drawing, EmbedFailure, Encoder
from linework_embedder.encoding import Vector

_COLUMNS = "drawing_id, derivative, patent_id, office, granted, filed, priority, locarno, view"
_OF_DRAWING = ", ".join(f"d.{column}" for column in _COLUMNS.split(", "))


@dataclass(frozen=True, slots=True)
class Missing:
    """A drawing's row that has no vector, and the derivative to make it from."""

    row: int
    derivative: str


def count_missing(session: Session, encoder: Encoder) -> int:
    """How many open drawings lack a vector of this encoder and are due."""
    return session.scalar(select(func.count()).select_from(due(DRAWINGS, encoder).subquery())) or 0


def page_of_missing(session: Session, encoder: Encoder, *, after: int, limit: int) -> list[Missing]:
    """Drawings that lack a vector, by row, after the given one."""
    rows = due(DRAWINGS, encoder).add_columns(Drawing.derivative).where(Drawing.row_id > after)
    return [Missing(row, derivative) for row, derivative in session.execute(rows.order_by(Drawing.row_id).limit(limit))]


def copy_known(session: Session, encoder: Encoder, rows: Collection[int], snapshot: int) -> set[int]:
    """Give drawings the vector that their derivative has already, and return the rows that had one."""
    statement = text(f"""
        INSERT INTO embeddings (encoder, drawing_row, vector, added_in, {_COLUMNS})
        SELECT DISTINCT ON (d.row_id) :encoder, d.row_id, e.vector, :snapshot, {_OF_DRAWING}
        FROM drawings d JOIN embeddings e ON e.encoder = :encoder AND e.derivative = d.derivative
        WHERE d.row_id = ANY(:rows) AND d.removed_in IS NULL
        ON CONFLICT DO NOTHING RETURNING drawing_row""")
    values = {"encoder": encoder.number, "rows": list(rows), "snapshot": snapshot}
    return set(session.scalars(statement, values))


def has_known(session: Session, encoder: Encoder, derivatives: Collection[str]) -> bool:
    """True if any of these derivatives has a vector of this encoder."""
    statement = text("SELECT EXISTS (SELECT FROM embeddings WHERE encoder = :encoder AND derivative = ANY(:wanted))")
    return bool(session.scalar(statement, {"encoder": encoder.number, "wanted": list(derivatives)}))


def stage(session: Session, vectors: Mapping[str, Vector]) -> None:
    """Bring vectors, by derivative, to the server: COPY into a table that ends with the transaction."""
    session.execute(text("CREATE TEMPORARY TABLE fresh (derivative text, vector halfvec) ON COMMIT DROP"))
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy("COPY fresh FROM STDIN (FORMAT BINARY)") as copy:
        for derivative, vector in vectors.items():
            copy.write_row((derivative, HalfVector(vector).to_binary()))


def add_staged(session: Session, encoder: Encoder, rows: Collection[int], snapshot: int) -> int:
    """Give these drawings their staged vectors and return how many took one.

    Not those that were closed meanwhile, nor those that another worker was quicker with. Call it after
    `next_snapshot`, whose lock keeps a patent from being closed in between.
    """
    statement = text(f"""
        INSERT INTO embeddings (encoder, drawing_row, vector, added_in, {_COLUMNS})
        SELECT :encoder, d.row_id, fresh.vector, :snapshot, {_OF_DRAWING}
        FROM drawings d JOIN fresh ON fresh.derivative = d.derivative
        WHERE d.row_id = ANY(:rows) AND d.removed_in IS NULL
        ON CONFLICT DO NOTHING""")
    values = {"encoder": encoder.number, "rows": list(rows), "snapshot": snapshot}
    added: int = session.execute(statement, values).rowcount  # type: ignore[attr-defined]
    return added


def record_failures(session: Session, encoder: Encoder, reasons: Mapping[int, str]) -> None:
    """Note why drawings have no vector."""
    failed = [{"encoder": encoder.number, "drawing_row": row, "reason": reason} for row, reason in reasons.items()]
    failures.record(session, EmbedFailure, failed)


def forget_failures(session: Session, encoder: Encoder, rows: Collection[int]) -> None:
    """These drawings have their vectors after all."""
    mine = (EmbedFailure.encoder == encoder.number, EmbedFailure.drawing_row.in_(rows))
    failures.forget(session, EmbedFailure, *mine)
