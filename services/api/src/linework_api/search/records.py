"""The record of a search: whoever it is shared with can read it, and run it again on the corpus as it was."""

from dataclasses import fields
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from linework_api.search import scoring
from linework_api.search.answers import Answer, assemble
from linework_api.search.schemas import Replay, SearchAnswer, SearchRecord
from linework_api.search.scoring import Scored
from linework_api.search.target import Target
from linework_core import encoders, erasures, nearest
from linework_core.encoders import EncoderFacts
from linework_core.scope import Scope
from linework_core.tables import Search


def keep(
    session: Session,
    search_id: UUID,
    owner: str,
    request: dict[str, Any],
    target: Target,
    scope: Scope,
    answer: Answer,
    *,
    took_ms: float,
) -> None:
    """Write a search down."""
    values = {
        "id": search_id,
        "owner": owner,
        "request": Jsonb(request),
        "query": Jsonb({"target": target.as_json(), "scope": scope.as_json(), "group_by": answer.group_by}),
        "vectors": target.vectors_as_bytes(),
        "encoder": answer.encoder.number,
        "snapshot": scope.snapshot,
        "plan": Jsonb(answer.plan),
        "answer": Jsonb(answer.head),
        "rows": [hit.row for hit in answer.hits],
        "scores": Jsonb([_scores(hit) for hit in answer.hits]),
        "took_ms": took_ms,
    }
    nearest.cursor(session.connection()).execute(_INSERT, values, prepare=True)


def extend(session: Session, record: Search, hits: list[Scored], *, following: str | None) -> bool:
    """Add a page's hits behind those that were read; False if somebody else has changed the record since."""
    values = {
        "id": record.id,
        "known": len(record.rows),
        "rows": [hit.row for hit in hits],
        "scores": Jsonb([_scores(hit) for hit in hits]),
        "answer": Jsonb({"next": following}),
    }
    return nearest.cursor(session.connection()).execute(_EXTEND, values, prepare=True).rowcount == 1


_EXTEND = """
    UPDATE searches SET rows = rows || %(rows)s::bigint[], scores = scores || %(scores)s, answer = answer || %(answer)s
    WHERE id = %(id)s AND cardinality(rows) = %(known)s"""
_COLUMNS = (
    *("id", "owner", "request", "query", "vectors", "encoder", "snapshot"),
    *("plan", "answer", "rows", "scores", "took_ms"),
)
_INSERT = (
    f"INSERT INTO searches ({', '.join(_COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)})"
).replace("%(rows)s", "%(rows)s::bigint[]")
_SCORES = tuple(field.name for field in fields(Scored) if field.name != "row")


def _scores(hit: Scored) -> dict[str, Any]:
    """All of a hit but its row."""
    return {name: getattr(hit, name) for name in _SCORES}


def hits_of(record: Search) -> list[Scored]:
    """The ranked drawings as they were answered."""
    return [Scored(row=row, **scores) for row, scores in zip(record.rows, record.scores, strict=True)]


def read(session: Session, record: Search) -> SearchRecord:
    """The record as its owner reads it; the hits are put together anew from versions, which never change."""
    return SearchRecord(
        id=record.id,
        created_at=record.created_at,
        owner=record.owner,
        took_ms=record.took_ms,
        request=record.request,
        plan=record.plan,
        answer=_answer(session, record, hits_of(record)),
    )


def replay(session: Session, record: Search) -> Replay:
    """Rank the same query again, exactly, on the snapshot that it was asked on: all the pages that it has, at once.

    Raises Gone where the vectors that it compared were removed, and Erased where a patent that it showed was.
    """
    encoders.check_vectors(session, record.encoder, record.snapshot)
    erasures.check_shown(record.erased)
    before = hits_of(record)
    encoder = encoders.facts(session, record.encoder)
    target, scope = understood(record, encoder)
    by_patent = record.query["group_by"] == "patent"
    again = scoring.rank(session, encoder, target, scope, len(before), by_patent=by_patent)
    was, is_now = [hit.drawing_id for hit in before], [hit.drawing_id for hit in again]
    return Replay(
        search_id=record.id,
        snapshot=record.snapshot,
        same=[(hit.row, hit.score) for hit in before] == [(hit.row, hit.score) for hit in again],
        missing=[drawing for drawing in was if drawing not in set(is_now)],
        added=[drawing for drawing in is_now if drawing not in set(was)],
        answer=_answer(session, record, again),
    )


def understood(record: Search, encoder: EncoderFacts) -> tuple[Target, Scope]:
    """The query as it was ranked by."""
    query = record.query
    target = Target.from_record(query["target"], record.vectors, encoder.dimension, encoder.has_text)
    return target, Scope.from_json(query["scope"])


def _answer(session: Session, record: Search, hits: list[Scored]) -> SearchAnswer:
    encoder = encoders.facts(session, record.encoder)
    target, scope = understood(record, encoder)
    # with a patent erased nothing is ranked again, so that groups show their best drawings only
    group_by = "none" if record.erased else record.query["group_by"]
    answer = Answer(encoder, hits, group_by, record.plan, record.answer)
    return assemble(session, answer, target, scope, search_id=record.id)
