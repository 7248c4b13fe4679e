"""The whole score in SQL: pictures and words together, over everything that a scope lets through.

Always exact over the rows it is given: all that are eligible, or the candidates of an approximate search.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, ColumnElement, Float, Subquery, and_, bindparam, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.orm import Session

from linework_api.search import words
from linework_api.search.target import Target, Vectors
from linework_core import encoders, nearest
from linework_core.corpus import visible
from linework_core.encoders import EncoderFacts
from linework_core.scope import Scope
from linework_core.tables import Description, DescriptionVector, Drawing, Embedding


@dataclass(frozen=True, slots=True)
class Scored:
    """A drawing's version with its scores; `image` or `text` is None where the query has no such part."""

    row: int
    drawing_id: str
    patent_id: str
    score: float
    image: float | None
    text: float | None


Position = tuple[float, str]  # score and drawing id of the last hit of a page


def rank(
    session: Session,
    encoder: EncoderFacts,
    target: Target,
    scope: Scope,
    limit: int | None,
    *,
    after: Position | None = None,
    without: Collection[int] = (),
    among: Collection[int] | None = None,
    by_patent: bool = False,
) -> list[Scored]:
    """The best drawings (or with `by_patent` the best drawing of each of the best patents), ties by drawing id.

    `after` goes on behind a page; `among` restricts to rows of drawings, `without` leaves some out (with `by_patent`
    their patents); `limit` None returns all.
    """
    scored = _scored(encoder, target, scope, among)
    if by_patent:
        best = (scored.c.patent_id, scored.c.score.desc(), scored.c.drawing_id)
        scored = select(scored).ext(distinct_on(scored.c.patent_id)).order_by(*best).subquery("best")
    statement = select(scored).order_by(scored.c.score.desc(), scored.c.drawing_id).limit(limit)
    if without:
        statement = statement.where(_is_none_of(without, scored, by_patent=by_patent))
    if after is not None:
        score, drawing_id = after
        tie = and_(scored.c.score == score, scored.c.drawing_id > drawing_id)
        statement = statement.where(or_(scored.c.score < score, tie))
    return [Scored(*row) for row in session.execute(statement)]


def _is_none_of(rows: Collection[int], scored: Subquery, *, by_patent: bool) -> ColumnElement[bool]:
    """A condition that Postgres checks by a hash, however many rows there are; an array it would read each time."""
    named = select(func.unnest(bindparam("left_out", list(rows), type_=ARRAY(BigInteger))))
    if by_patent:
        return scored.c.patent_id.not_in(select(Drawing.patent_id).where(Drawing.row_id.in_(named)))
    return scored.c.drawing_row.not_in(named)


def _scored(encoder: EncoderFacts, target: Target, scope: Scope, among: Collection[int] | None) -> Subquery:
    """Row, drawing, patent, score and its parts, for each row of the scope."""
    image = _image(target)
    text, source = _text(encoder, target, scope.snapshot)
    row = (Embedding.drawing_row, Embedding.drawing_id, Embedding.patent_id)
    statement = (
        select(*row, _or_null(image).label("image"), _or_null(text).label("text"))
        .select_from(source)
        .where(Embedding.encoder == encoder.number, *scope.passing(Embedding))
    )
    if among is not None:
        statement = statement.where(Embedding.drawing_row.in_(list(among)))
    parts = statement.offset(0).subquery("parts")  # or each part would be computed again for the score
    score: Any = parts.c.image if text is None else parts.c.text
    if image is not None and text is not None:  # a part alone keeps its own number, by whichever way it is ranked
        score = target.image_weight * parts.c.image + target.text_weight * parts.c.text
    found = (parts.c.drawing_row, parts.c.drawing_id, parts.c.patent_id)
    return select(*found, score.label("score"), parts.c.image, parts.c.text).subquery("scored")


def _image(target: Target) -> Any | None:
    if target.vectors is None or target.image_weight == 0:
        return None
    distances = [_distance(Embedding.vector, vector) for vector in target.vectors]
    return 1.0 - (func.least(*distances, type_=Float) if len(distances) > 1 else distances[0])


def _text(encoder: EncoderFacts, target: Target, snapshot: int) -> tuple[Any | None, Any]:
    """The text's score, and the table or join that it is read from. What has no word of the query is joined as NULL."""
    if target.text is None or target.text_weight == 0:
        return None, Embedding.__table__
    query = words.query_of(target.text)
    own = and_(Drawing.row_id == Embedding.drawing_row, Drawing.words.op("@@")(query))
    said = and_(Description.drawing_row == Embedding.drawing_row, words.described(query, snapshot))
    source: Any = Embedding.__table__.outerjoin(Drawing.__table__, own).outerjoin(Description.__table__, said)
    lexical = words.score(words.rank(Drawing.words, query), words.rank(Description.words, query))
    if target.text_vector is None:
        return lexical, source
    vector = and_(
        DescriptionVector.encoder == encoder.number,
        DescriptionVector.drawing_row == Embedding.drawing_row,
        visible(DescriptionVector, snapshot),
    )
    shown = 1.0 - _distance(Embedding.vector, target.text_vector)
    told = func.coalesce(1.0 - _distance(DescriptionVector.vector, target.text_vector), shown, type_=Float)
    return (lexical + (shown + told) / 2.0) / 2.0, source.outerjoin(DescriptionVector.__table__, vector)


def _distance(column: Any, vector: Any) -> Any:
    return column.cosine_distance(bindparam("query", HalfVector(vector), type_=HALFVEC(len(vector)), unique=True))


def _or_null(part: Any | None) -> Any:
    return cast(literal(None), Float) if part is None else part


def best_by_words(session: Session, encoder: EncoderFacts, text: str, scope: Scope, limit: int) -> list[int]:
    """Rows of the drawings whose words answer best, their own or their descriptions'; fewer where fewer have any."""
    query = words.query_of(text)
    rank = words.rank(Drawing.words, query).label("rank")
    own = select(Drawing.row_id, rank).where(Drawing.words.op("@@")(query)).subquery("own")
    rank = words.rank(Description.words, query).label("rank")
    said = select(Description.drawing_row, rank).where(words.described(query, scope.snapshot)).subquery("said")
    row = func.coalesce(own.c.row_id, said.c.drawing_row)
    statement = (
        select(Embedding.drawing_row)
        .select_from(own.join(said, said.c.drawing_row == own.c.row_id, full=True))
        .join(Embedding, and_(Embedding.encoder == encoder.number, Embedding.drawing_row == row))
        .where(*scope.passing(Embedding))
        .order_by(words.score(own.c.rank, said.c.rank).desc(), Embedding.drawing_id)
        .limit(limit)
    )
    return list(session.scalars(statement))


def best_by_descriptions(
    session: Session, encoder: EncoderFacts, vector: Vectors, scope: Scope, limit: int
) -> list[int]:
    """Rows of the drawings whose descriptions are nearest to a text's vector (d,); about so, where there is a graph."""
    statement = f"""
        SELECT v.drawing_row FROM description_vectors v
        JOIN {encoders.partition(encoder)} e ON e.drawing_row = v.drawing_row
        WHERE v.encoder = {int(encoder.number)} AND {scope.sql("e")}
          AND v.added_in <= %(snapshot)s AND (v.removed_in IS NULL OR v.removed_in > %(snapshot)s)
        ORDER BY v.vector::halfvec({len(vector)}) <=> %(text)s LIMIT %(k)s"""
    cursor = nearest.cursor(session.connection())
    with nearest.walking(cursor.connection, ef=min(limit, nearest.MOST_EF)):
        cursor.execute(statement, {**scope.params(), "text": HalfVector(vector), "k": limit}, prepare=True)
        return [row for (row,) in cursor]
