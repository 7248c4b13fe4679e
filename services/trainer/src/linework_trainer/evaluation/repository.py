"""What an evaluation reads of the corpus, and how its outcome is written. All at one snapshot."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.corpus import visible
from linework_core.scope import DateBasis
from linework_core.tables import Citation, Description, Drawing, Encoder, Evaluation, Patent
from linework_trainer.evaluation.ranking import Floats, Ints

PAGE = 4096  # rows read at a time
UNDATED = 2**62  # the day of a drawing without a date: before no query


@dataclass(frozen=True, slots=True)
class Drawings:
    """The drawings that have a vector, in the order of their ids (of bytes), which is that of ties in a search."""

    rows: list[int]
    ids: list[str]
    patents: list[str]
    classes: list[str | None]
    derivatives: list[str]
    days: Ints  # (n,) as ordinals, UNDATED where there is no date
    vectors: Floats  # (n, d)


def read_drawings(
    session: Session, encoder: Encoder, snapshot: int, basis: DateBasis, between_pages: Callable[[], None]
) -> Drawings:
    """All drawings of the snapshot that have a vector now. `between_pages` may raise, to stop."""
    facts = f"d.drawing_id, d.row_id, d.patent_id, d.locarno, d.derivative, d.{basis}"
    found = [(*row[:-1], _ordinal(row[-1])) for row in _stream(session, encoder, snapshot, facts)]
    found.sort()  # here and not in the query: the server would write vectors to disk to sort them
    between_pages()
    names: dict[str | None, str | None] = {}  # a patent and a class have many drawings, and one string
    drawings = Drawings(
        rows=[row for _, row, *_ in found],
        ids=[drawing for drawing, *_ in found],
        patents=[str(names.setdefault(patent, patent)) for _, _, patent, *_ in found],
        classes=[names.setdefault(name, name) for _, _, _, name, *_ in found],
        derivatives=[derivative for *_, derivative, _ in found],
        days=np.array([day for *_, day in found], dtype=np.int64),
        vectors=np.empty((len(found), encoder.dimension), dtype=np.float32),
    )
    places = {row: place for place, row in enumerate(drawings.rows)}
    for number, (row, vector) in enumerate(_stream(session, encoder, snapshot, "d.row_id, halfvec_send(e.vector)")):
        if number % PAGE == 0:
            between_pages()
        drawings.vectors[places[row]] = np.frombuffer(vector, dtype=">f2", offset=4)  # its dimension stands before
    return drawings


def _stream(session: Session, encoder: Encoder, snapshot: int, columns: str) -> Iterator[tuple[Any, ...]]:
    """Columns of all drawings of the snapshot and their vectors, read in binary from a cursor on the server.

    The snapshot is the drawings'. A vector follows from its drawing, whenever it was made: so an encoder can be
    evaluated on a corpus older than itself.
    """
    driver: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]
    visible_then = "d.added_in <= %(snapshot)s AND (d.removed_in IS NULL OR d.removed_in > %(snapshot)s)"
    with driver.cursor("vectors", binary=True) as cursor:
        cursor.itersize = PAGE
        vectors = f"{encoders.partition(encoder)} e ON e.drawing_row = d.row_id"
        statement = f"SELECT {columns} FROM drawings d JOIN {vectors} WHERE {visible_then}"
        yield from cursor.execute(statement, {"snapshot": snapshot})


def _ordinal(day: dt.date | None) -> int:
    return UNDATED if day is None else day.toordinal()


def count_drawings(session: Session, snapshot: int) -> int:
    """All drawings of the snapshot, with a vector or without."""
    return session.scalar(select(func.count()).select_from(Drawing).where(visible(Drawing, snapshot))) or 0


def class_sizes(session: Session, snapshot: int, basis: DateBasis, before: dt.date | None) -> dict[str, int]:
    """How many drawings each class has, of those dated before a day where one is given."""
    sizes = select(Drawing.locarno, func.count()).where(visible(Drawing, snapshot), Drawing.locarno.is_not(None))
    if before is not None:
        sizes = sizes.where(getattr(Drawing, basis) < before)
    return {name: count for name, count in session.execute(sizes.group_by(Drawing.locarno)) if name is not None}


def citations(session: Session, snapshot: int) -> list[tuple[str, str]]:
    """Who cites whom, as ids of patents that are both in the corpus: what the examiner cited, and what does not say
    who did.
    """
    cited = select(Patent.patent_id, (Patent.office + Patent.number).label("name"))
    there = cited.where(visible(Patent, snapshot)).subquery()
    pairs = select(Patent.patent_id, there.c.patent_id).join(Citation, Citation.patent_row == Patent.row_id)
    pairs = pairs.join(there, there.c.name == Citation.number).where(visible(Patent, snapshot))
    by_examiner = or_(Citation.category.is_(None), Citation.category.ilike("%examiner%"))
    return [(citing, other) for citing, other in session.execute(pairs.where(by_examiner).distinct())]


def titles(session: Session, snapshot: int) -> dict[str, str]:
    """The titles of patents that have one."""
    named = select(Patent.patent_id, Patent.title).where(visible(Patent, snapshot), Patent.title.is_not(None))
    return {patent: title for patent, title in session.execute(named) if title and title.strip()}


def descriptions(session: Session, snapshot: int) -> Iterator[tuple[int, list[str]]]:
    """The rows of drawings that were described, each with its texts, in the order of rows."""
    sets = select(Description.drawing_row, Description.texts).where(visible(Description, snapshot))
    found = session.execute(sets.order_by(Description.drawing_row), execution_options={"yield_per": PAGE})
    for row, texts in found:
        yield row, [text["text"] for text in texts]


def add(session: Session, evaluation_id: UUID, **values: Any) -> None:
    """Write down an evaluation's outcome. One that is there already stays as it is."""
    session.execute(insert(Evaluation).values(id=evaluation_id, **values).on_conflict_do_nothing())
