"""The whole score in SQL: pictures and words together, over everything that a scope lets through.

Always exact over the rows it is given: all that are eligible, or the candidates of an approximate search.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Float, Subquery, and_, bindparam, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from linework_api.search import words
from linework_api.search.target import Target
from linework_core.scope import Scope
from linework_core.tables import Drawing, Embedding, Encoder


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
    encoder: Encoder,
    target: Target,
    scope: Scope,
    limit: int | None,
    *,
    after: Position | None = None,
    among: Collection[int] | None = None,
    by_patent: bool = False,
) -> list[Scored]:
    """The best drawings (or with `by_patent` the best drawing of each of the best patents), ties by drawing id.

    `after` goes on behind a page; `among` restricts to rows of drawings; `limit` None returns all.
    """
    scored = _scored(encoder, target, scope, among)
    if by_patent:
        best = (scored.c.patent_id, scored.c.score.desc(), scored.c.drawing_id)
        scored = select(scored).ext(distinct_on(scored.c.patent_id)).order_by(*best).subquery("best")
    statement = select(scored).order_by(scored.c.score.desc(), scored.c.drawing_id).limit(limit)
    if after is not None:
        score, drawing_id = after
        tie = and_(scored.c.score == score, scored.c.drawing_id > drawing_id)
        statement = statement.where(or_(scored.c.score < score, tie))
    return [Scored(*row) for row in session.execute(statement)]


def _scored(encoder: Encoder, target: Target, scope: Scope, among: Collection[int] | None) -> Subquery:
    """Row, drawing, patent, score and its parts, for each row of the scope."""
    image = _image(target)
    text, source = _text(target)
    score: Any = image if text is None else text
    if image is not None and text is not None:  # a part alone keeps its own number, by whichever way it is ranked
        score = target.image_weight * image + target.text_weight * text
    statement = (
        select(
            Embedding.drawing_row,
            Embedding.drawing_id,
            Embedding.patent_id,
            score.label("score"),
            _or_null(image).label("image"),
            _or_null(text).label("text"),
        )
        .select_from(source)
        .where(Embedding.encoder == encoder.number, *scope.passing(Embedding))
    )
    if among is not None:
        statement = statement.where(Embedding.drawing_row.in_(list(among)))
    return statement.subquery("scored")


def _image(target: Target) -> Any | None:
    if target.vectors is None or target.image_weight == 0:
        return None
    distances = [_distance(vector) for vector in target.vectors]
    return 1.0 - (func.least(*distances, type_=Float) if len(distances) > 1 else distances[0])


def _text(target: Target) -> tuple[Any | None, Any]:
    """The text's score, and the table or join that it is read from."""
    if target.text is None or target.text_weight == 0:
        return None, Embedding
    query = words.query_of(target.text)
    found = and_(Drawing.row_id == Embedding.drawing_row, Drawing.words.op("@@")(query))
    source = Embedding.__table__.outerjoin(Drawing.__table__, found)
    lexical = func.coalesce(words.score(Drawing.words, query), 0.0, type_=Float)
    if target.text_vector is None:
        return lexical, source
    return (lexical + (1.0 - _distance(target.text_vector))) / 2.0, source


def _distance(vector: Any) -> Any:
    query = bindparam("query", HalfVector(vector), type_=HALFVEC(len(vector)), unique=True)
    return Embedding.vector.cosine_distance(query)


def _or_null(part: Any | None) -> Any:
    return cast(literal(None), Float) if part is None else part


def best_by_words(session: Session, encoder: Encoder, text: str, scope: Scope, limit: int) -> list[int]:
    """Rows of the drawings whose words answer best; fewer where fewer have any."""
    query = words.query_of(text)
    score = words.score(Drawing.words, query)
    statement = (
        select(Drawing.row_id)
        .join(Embedding, and_(Embedding.encoder == encoder.number, Embedding.drawing_row == Drawing.row_id))
        .where(Drawing.words.op("@@")(query), *scope.passing(Embedding))
        .order_by(score.desc(), Drawing.drawing_id)
        .limit(limit)
    )
    return list(session.scalars(statement))
