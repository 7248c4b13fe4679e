"""Reading what searches need, beside the ranking. Every statement names its snapshot."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from pgvector import HalfVector
from sqlalchemy import Integer, and_, cast, exists, extract, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_api.search.schemas import Facet
from linework_core import encoders, nearest, patent_ids
from linework_core.corpus import visible
from linework_core.encoders import EncoderFacts
from linework_core.errors import Unavailable
from linework_core.scope import Scope
from linework_core.tables import Drawing, Embedding, Figure, Patent, Search, Unrecorded


def ask(session: Session, statement: str, params: Mapping[str, Any]) -> list[Any]:
    """Rows of a prepared statement, in the session's transaction.

    What every search asks goes this way: for these few rows SQLAlchemy would take longer than Postgres.
    """
    cursor = nearest.cursor(session.connection())
    return cursor.execute(statement, params, prepare=True).fetchall()


def now(session: Session) -> tuple[int, int]:
    """The newest snapshot, and the number of the encoder whose index is active. Raises Unavailable."""
    found = ask(session, "SELECT c.snapshot, i.encoder FROM corpus c JOIN indexes i ON i.state = 'active'", {})
    if not found:
        raise Unavailable("No index is active yet.", retry_after=5)
    return found[0][0], found[0][1]


def facets(
    session: Session, encoder: EncoderFacts, scope: Scope, names: Sequence[Facet]
) -> dict[Facet, dict[str, int]]:
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
    added_in: int
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
    return {row[0]: Shown(*row) for row in ask(session, _DETAILS, {"rows": list(rows)})}


_DETAILS = """
    SELECT d.row_id, d.drawing_id, d.added_in, d.original, d.derivative, p.patent_id, p.title, p.granted, p.filed,
           p.locarno, f.caption, f.view
    FROM drawings d JOIN patents p ON p.row_id = d.patent_row LEFT JOIN figures f ON f.row_id = d.figure_row
    WHERE d.row_id = ANY(%(rows)s::bigint[])"""


class Queried(NamedTuple):
    """A drawing of the corpus that is searched by; `vector` is None until it is indexed."""

    drawing_id: str
    derivative: str
    patent_id: str
    granted: dt.date | None
    filed: dt.date | None
    priority: dt.date | None
    vector: Any


def queried(
    session: Session,
    encoder: EncoderFacts,
    snapshot: int,
    *,
    drawings: list[str] | None = None,
    patent: str | None = None,
) -> list[Queried]:
    """The drawings of these ids, or of a patent, as they are at the snapshot, in the order of their numbers."""
    named = "d.patent_id = %(patent)s" if drawings is None else "d.drawing_id = ANY(%(drawings)s)"
    statement = _QUERIED.format(leaf=encoders.partition(encoder), named=named)
    found = ask(session, statement, {"drawings": drawings, "patent": patent, "snapshot": snapshot})
    vectors = [None if row[-1] is None else HalfVector.from_binary(row[-1]) for row in found]
    return [Queried(*row)._replace(vector=vector) for row, vector in zip(found, vectors, strict=True)]


_QUERIED = """
    SELECT d.drawing_id, d.derivative, d.patent_id, d.granted, d.filed, d.priority, e.vector
    FROM drawings d LEFT JOIN {leaf} e ON e.drawing_row = d.row_id AND e.added_in <= %(snapshot)s
    WHERE {named} AND d.added_in <= %(snapshot)s AND (d.removed_in IS NULL OR d.removed_in > %(snapshot)s)
    ORDER BY d.patent_id, d.number"""


def has_patent(session: Session, patent_id: str, snapshot: int) -> bool:
    """Whether there is such a patent at the snapshot."""
    found = exists().where(Patent.patent_id == patent_id, visible(Patent, snapshot))
    return bool(session.scalar(select(found)))


def title_of(session: Session, snapshot: int, drawing_id: str | None, patent_id: str | None) -> str | None:
    """The title of this patent, or of the drawing's, as it was at the snapshot."""
    wanted = select(Patent.title).where(visible(Patent, snapshot))
    if drawing_id is not None:
        own = (Drawing.drawing_id == drawing_id, visible(Drawing, snapshot))
        wanted = wanted.join(Drawing, Drawing.patent_row == Patent.row_id).where(*own)
    elif patent_id is not None:
        wanted = wanted.where(Patent.patent_id == patent_ids.resolve_one(session, patent_id))
    else:
        return None
    return session.scalars(wanted).first()


def vectors_of(session: Session, encoder: EncoderFacts, rows: Sequence[int], snapshot: int) -> dict[int, Any]:
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
    """The record as it is now: a later page may have joined it since it was last read."""
    return session.get(Search, search_id, populate_existing=True)


def count_unrecorded(session: Session, owner: str) -> None:
    """One more search of which nothing else is kept."""
    row = insert(Unrecorded).values(day=func.current_date(), owner=owner, searches=1)
    again = {"searches": Unrecorded.searches + 1}
    session.execute(row.on_conflict_do_update(index_elements=["day", "owner"], set_=again))
