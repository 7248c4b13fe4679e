"""Reading what searches need, beside the ranking. Every statement names its snapshot."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    and_,
    bindparam,
    cast,
    delete,
    distinct,
    exists,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from linework_api.search.schemas import Facet
from linework_api.search.scope import Scope
from linework_core.corpus import visible
from linework_core.tables import Drawing, Embedding, Encoder, Figure, Patent, Search, Unrecorded, VectorIndex


@dataclass(frozen=True, slots=True)
class Counts:
    eligible: int
    unindexed: int
    undated: int


def count(session: Session, encoder: Encoder, scope: Scope, *, patents: bool = False) -> Counts:
    """How many drawings pass with and without a vector, and how many lack the date asked for.

    With `patents`, `eligible` counts the patents that have a drawing which passes.
    """
    passing: tuple[Any, ...] = (Embedding.encoder == encoder.number, *scope.passing(Embedding))
    indexed = select(func.count()).select_from(Embedding).where(*passing).scalar_subquery()
    of_patents = select(func.count(distinct(Embedding.patent_id))).where(*passing).scalar_subquery()
    undated = scope.lacking_a_date(Drawing)
    lacking: Any = literal(0)
    if undated is not None:
        lacking = select(func.count()).select_from(Drawing).where(*undated).scalar_subquery()
    complete = _complete(encoder, scope.snapshot)
    eligible, without_date, nothing_missing = session.execute(
        select(of_patents if patents else indexed, lacking, complete)
    ).one()
    unindexed = 0 if nothing_missing else _count_unindexed(session, indexed, scope)
    return Counts(eligible, unindexed, without_date)


def _complete(encoder: Encoder, snapshot: int) -> Any:
    """Whether every drawing of the snapshot is known to have a vector in it (encoders.note_if_complete)."""
    newest = select(func.max(Drawing.added_in)).where(Drawing.added_in <= snapshot).scalar_subquery()
    noted = and_(VectorIndex.complete_at <= snapshot, VectorIndex.complete_at >= func.coalesce(newest, 0))
    return exists().where(VectorIndex.encoder == encoder.number, noted)


def _count_unindexed(session: Session, indexed: Any, scope: Scope) -> int:
    drawings = select(func.count()).select_from(Drawing).where(*scope.passing(Drawing)).scalar_subquery()
    return session.scalar(select(drawings - indexed)) or 0


def facets(session: Session, encoder: Encoder, scope: Scope, names: Sequence[Facet]) -> dict[Facet, dict[str, int]]:
    """Eligible drawings by class, year (of the date basis), view or office, the most frequent first."""
    columns: dict[Facet, Any] = {
        "locarno": Embedding.locarno,
        "year": cast(extract("year", scope.date(Embedding)), Integer),
        "view": Embedding.view,
        "office": Embedding.office,
    }
    found: dict[Facet, dict[str, int]] = {}
    for name in names:
        value, number = columns[name].label("value"), func.count().label("number")
        statement = select(value, number).where(Embedding.encoder == encoder.number, *scope.passing(Embedding))
        rows = session.execute(statement.group_by(value).order_by(number.desc(), value))
        found[name] = {"unknown" if value is None else str(value): number for value, number in rows}
    return found


class Shown(NamedTuple):
    """What a hit shows of a drawing, its patent and its figure."""

    drawing_row: int
    drawing_id: str
    original: str
    derivative: str
    patent_id: str
    title: str | None
    granted: dt.date | None
    filed: dt.date | None
    locarno: str | None
    caption: str | None
    view: str | None


def details(session: Session, rows: Iterable[int]) -> dict[int, Shown]:
    """What hits show, by the drawing's row."""
    return {row[0]: Shown(*row) for row in session.execute(_DETAILS, {"rows": list(rows)})}


_DETAILS = (
    select(
        Drawing.row_id, Drawing.drawing_id, Drawing.original, Drawing.derivative, Patent.patent_id, Patent.title,
        Patent.granted, Patent.filed, Patent.locarno, Figure.caption, Figure.view,
    )
    .join(Patent, Patent.row_id == Drawing.patent_row)
    .outerjoin(Figure, Figure.row_id == Drawing.figure_row)
    .where(Drawing.row_id == func.any(bindparam("rows", type_=ARRAY(BigInteger))))
)  # fmt: skip


class Queried(NamedTuple):
    """A drawing of the corpus that is searched by; `vector` is None until it is indexed."""

    drawing_id: str
    derivative: str
    patent_id: str
    granted: dt.date | None
    filed: dt.date | None
    priority: dt.date | None
    vector: Any


def queried(session: Session, encoder: Encoder, condition: ColumnElement[bool], snapshot: int) -> list[Queried]:
    """The drawings that a condition names, as they are at the snapshot, in the order of their patents."""
    stored = and_(
        Embedding.encoder == encoder.number, Embedding.drawing_row == Drawing.row_id, Embedding.added_in <= snapshot
    )
    statement = (
        select(
            Drawing.drawing_id, Drawing.derivative, Drawing.patent_id, Drawing.granted, Drawing.filed,
            Drawing.priority, Embedding.vector,
        )
        .outerjoin(Embedding, stored)
        .where(condition, visible(Drawing, snapshot))
        .order_by(Drawing.patent_id, Drawing.number)
    )  # fmt: skip
    return [Queried(*row) for row in session.execute(statement)]


def has_patent(session: Session, patent_id: str, snapshot: int) -> bool:
    """Whether there is such a patent at the snapshot."""
    found = exists().where(Patent.patent_id == patent_id, visible(Patent, snapshot))
    return bool(session.scalar(select(found)))


def vectors_of(session: Session, encoder: Encoder, rows: Sequence[int], snapshot: int) -> dict[int, Any]:
    """Stored vectors by drawing row, as far as the index has them at the snapshot."""
    statement = select(Embedding.drawing_row, Embedding.vector).where(
        Embedding.encoder == encoder.number, Embedding.drawing_row.in_(rows), Embedding.added_in <= snapshot
    )
    return {row: np.asarray(vector, np.float32) for row, vector in session.execute(statement)}


def family_of(session: Session, patent_id: str, snapshot: int) -> frozenset[str]:
    """Ids of all patents linked to this one through shared applications, priorities or registrations."""
    true_now = visible(Patent, snapshot)
    start = select(Patent.patent_id, Patent.family_keys).where(Patent.patent_id == patent_id, true_now)
    family = start.cte("family", recursive=True)
    kin = select(Patent.patent_id, Patent.family_keys).join(family, Patent.family_keys.overlap(family.c.family_keys))
    family = family.union(kin.where(true_now))
    return frozenset(session.scalars(select(family.c.patent_id))) | {patent_id}


def texts_of(session: Session, rows: Sequence[int]) -> dict[int, str]:
    """What is said of drawings, by row: the title, and the objects and captions that are theirs."""
    own = or_(
        Figure.row_id == Drawing.figure_row, and_(Drawing.figure_row.is_(None), Figure.patent_row == Drawing.patent_row)
    )
    said = func.string_agg(func.concat_ws(" ", Figure.object, Figure.caption), " ")
    statement = (
        select(Drawing.row_id, func.concat_ws(" ", Patent.title, said))
        .join(Patent, Patent.row_id == Drawing.patent_row)
        .outerjoin(Figure, own)
        .where(Drawing.row_id.in_(list(rows)))
        .group_by(Drawing.row_id, Patent.title)
    )
    return {row: text for row, text in session.execute(statement)}  # noqa: C416  # rows are no pairs to mypy


def find_search(session: Session, search_id: UUID) -> Search | None:
    return session.get(Search, search_id)


def count_unrecorded(session: Session, owner: str) -> None:
    """One more search of which nothing else is kept."""
    row = insert(Unrecorded).values(day=func.current_date(), owner=owner, searches=1)
    again = {"searches": Unrecorded.searches + 1}
    session.execute(row.on_conflict_do_update(index_elements=["day", "owner"], set_=again))


def forget_searches(session: Session, older_than: dt.timedelta) -> None:
    """Delete records whose time of retention is over."""
    session.execute(delete(Search).where(Search.created_at < func.now() - older_than))
