"""The SQL of search. Every statement names its snapshot, so an answer is of one state of the corpus."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import bindparam, exists, func, literal, select
from sqlalchemy.orm import Session

from linework_api.search.scope import Scope
from linework_core.corpus import visible
from linework_core.tables import Drawing, Embedding, Encoder, Figure, Patent, Search

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Counts:
    eligible: int
    unindexed: int
    undated: int


@dataclass(frozen=True, slots=True)
class Found:
    """A row of the ranking: the drawing's version and its cosine similarity in [-1, 1]."""

    drawing_row: int
    score: float


def rank(session: Session, encoder: Encoder, vectors: Vectors, scope: Scope, limit: int) -> list[Found]:
    """The `limit` nearest drawings, by an exact scan, ties by drawing id.

    `vectors` (m, d) are the query's drawings; a drawing's distance is that to the nearest of them.
    """
    distances = [Embedding.vector.cosine_distance(_halfvec(f"q{i}", v)) for i, v in enumerate(vectors)]
    distance = (func.least(*distances) if len(distances) > 1 else distances[0]).label("distance")
    statement = (
        select(Embedding.drawing_row, distance)
        .where(Embedding.encoder == encoder.number, *scope.passing(Embedding))
        .order_by(distance, Embedding.drawing_id)
        .limit(limit)
    )
    return [Found(row, 1.0 - float(found)) for row, found in session.execute(statement)]


def _halfvec(name: str, vector: NDArray[np.float32]) -> Any:
    return bindparam(name, HalfVector(vector), type_=HALFVEC(len(vector)))


def count(session: Session, encoder: Encoder, scope: Scope) -> Counts:
    """How many drawings pass the filters with and without a vector, and how many lack the date asked for."""
    indexed = select(func.count()).select_from(Embedding).where(Embedding.encoder == encoder.number, *scope.passing(Embedding))
    passing = select(func.count()).select_from(Drawing).where(*scope.passing(Drawing))
    undated = scope.lacking_a_date(Drawing)
    lacking = literal(0) if undated is None else select(func.count()).select_from(Drawing).where(*undated).scalar_subquery()
    with_vector, all_of_them, without_date = session.execute(
        select(indexed.scalar_subquery(), passing.scalar_subquery(), lacking)
    ).one()
    return Counts(with_vector, all_of_them - with_vector, without_date)


def details(session: Session, rows: Iterable[int]) -> dict[int, tuple[Drawing, Patent, Figure | None]]:
    """What a hit shows, by the drawing's row."""
    statement = (
        select(Drawing, Patent, Figure)
        .join(Patent, Patent.row_id == Drawing.patent_row)
        .outerjoin(Figure, Figure.row_id == Drawing.figure_row)
        .where(Drawing.row_id.in_(list(rows)))
    )
    return {drawing.row_id: (drawing, patent, figure) for drawing, patent, figure in session.execute(statement)}


def drawing_at(session: Session, drawing_id: str, snapshot: int) -> Drawing | None:
    """The version of a drawing that is true at the snapshot."""
    return session.scalars(
        select(Drawing).where(Drawing.drawing_id == drawing_id, visible(Drawing, snapshot))
    ).one_or_none()


def patent_at(session: Session, patent_id: str, snapshot: int) -> Patent | None:
    """The version of a patent that is true at the snapshot."""
    return session.scalars(select(Patent).where(Patent.patent_id == patent_id, visible(Patent, snapshot))).one_or_none()


def drawings_of(session: Session, patent: Patent) -> Sequence[Drawing]:
    return session.scalars(select(Drawing).where(Drawing.patent_row == patent.row_id).order_by(Drawing.number)).all()


def vectors_of(session: Session, encoder: Encoder, drawings: Sequence[Drawing], snapshot: int) -> dict[int, Any]:
    """Stored vectors by drawing row, as far as the index has them at the snapshot."""
    statement = select(Embedding.drawing_row, Embedding.vector).where(
        Embedding.encoder == encoder.number,
        Embedding.drawing_row.in_([drawing.row_id for drawing in drawings]),
        Embedding.added_in <= snapshot,
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


def any_open_drawing(session: Session) -> bool:
    return bool(session.scalar(select(exists().where(Drawing.removed_in.is_(None)))))


def find_search(session: Session, search_id: UUID) -> Search | None:
    return session.get(Search, search_id)
