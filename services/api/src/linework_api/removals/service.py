"""What the tables lose when a patent is erased, and what they gain when it is restored."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from linework_core import erasures, patent_ids
from linework_core.cluster_titles import Subject
from linework_core.errors import Conflict, NotFound
from linework_core.tables import Drawing, Erasure, Patent, Sheet


def newest_version(session: Session, patent_id: str) -> Patent:
    """The last version of a patent, open or closed. Raises NotFound, and Erased for one that was erased."""
    versions = select(Patent).where(Patent.patent_id == patent_id).order_by(Patent.row_id.desc())
    patent = session.scalars(versions.limit(1)).first()
    if patent is None:
        erasures.check_patent(session, patent_id)
        raise NotFound(f"There is no patent {patent_id}.")
    return patent


def withdrawn_version(session: Session, patent_id: str) -> Patent:
    """The last version of a withdrawn patent. Raises NotFound, Erased, and Conflict for one that is not withdrawn."""
    patent = newest_version(session, patent_id)
    if patent.removed_in is None:
        raise Conflict(f"The patent {patent_id} is not withdrawn.")
    return patent


def lift(session: Session, named: str, by: str) -> None:
    """Let an erased patent, by its id as people write it, be loaded again. What was erased stays so. Raises NotFound
    where no erasure is in force.
    """
    readings = patent_ids.readings(named)
    tombstones = erasures.in_force(session, readings)
    erasure = next((tombstones[one] for one in readings if one in tombstones), None)
    if erasure is None:
        raise NotFound(f"No erasure of {named} is in force.")
    erasure.lifted_at, erasure.lifted_by = func.now(), by


def originals_of_sheets(session: Session, patent_id: str) -> set[str]:
    """Of all versions of a patent: hashes."""
    patents = select(Patent.row_id).where(Patent.patent_id == patent_id)
    return set(session.scalars(select(Sheet.original).where(Sheet.patent_row.in_(patents))))


def erase(session: Session, erasure: Erasure) -> dict[str, int]:
    """Put up the tombstone and delete every row of every version; returns how many drawings were deleted and searches
    marked. The patent's pictures are added to those that the tombstone names, until they are deleted, too.
    """
    patent_id = erasure.patent_id
    patents = select(Patent.row_id).where(Patent.patent_id == patent_id)
    drawings = session.scalars(select(Drawing).where(Drawing.patent_row.in_(patents))).all()
    originals = originals_of_sheets(session, patent_id)
    erasure.originals = sorted(originals | {drawing.original for drawing in drawings})
    erasure.derivatives = sorted({*erasure.derivatives, *(drawing.derivative for drawing in drawings)})
    erasure.drawing_rows = [drawing.row_id for drawing in drawings]
    erasure.drawing_ids = sorted({drawing.drawing_id for drawing in drawings})
    session.add(erasure)
    session.flush()
    searches = erasures.mark_searches(session, erasure)
    _forget_titles(session, erasure, patent_id)
    _delete_rows(session, patent_id, erasure.drawing_rows)
    return {"drawings": len(drawings), "searches": searches}


def _forget_titles(session: Session, erasure: Erasure, patent_id: str) -> None:
    """Titles of clusters that a model gave after it had been shown the patent, its answers, and what it was told."""
    titles = set(session.scalars(select(Patent.title).where(Patent.patent_id == patent_id)))
    pictures = set(erasure.derivatives)
    asked = session.execute(text("SELECT id, params FROM jobs WHERE params ->> 'kind' = 'titles'")).all()
    keys, jobs = [], []
    for job_id, params in asked:
        subjects = [Subject.from_json(told) for told in params["clusters"]]
        shown = [one.key for one in subjects if pictures & set(one.pictures) or titles & set(one.objects)]
        keys += shown
        jobs += [job_id] if shown else []
    session.execute(text(_DELETE_TITLES), {"keys": keys})
    session.execute(text(_EMPTY_JOBS), {"jobs": jobs})


_DELETE_TITLES = """
    WITH titles AS (DELETE FROM cluster_titles WHERE key = ANY(CAST(:keys AS varchar[])) RETURNING provenance)
    DELETE FROM llm_calls
    WHERE key IN (SELECT jsonb_array_elements_text(coalesce(provenance -> 'calls', '[]')) FROM titles)"""
_EMPTY_JOBS = """UPDATE jobs SET params = params || '{"clusters": []}' WHERE id = ANY(:jobs)"""


def _delete_rows(session: Session, patent_id: str, drawings: Sequence[int]) -> None:
    """Every row of all versions, those first that others refer to last."""
    values: dict[str, Any] = {"patent": patent_id, "drawings": list(drawings)}
    values["named"] = rf"(^|[^[:alnum:]]){re.escape(patent_id)}($|[^[:alnum:]])"  # LD300, and not LD3001
    values["calls"] = list(session.scalars(text(_CALLS), values))
    for statement in _DELETIONS:
        session.execute(text(statement), {k: v for k, v in values.items() if f":{k}" in statement})


_CALLS = "SELECT DISTINCT unnest(calls) FROM descriptions WHERE drawing_row = ANY(CAST(:drawings AS bigint[]))"
_OF_DRAWINGS = "drawing_row = ANY(CAST(:drawings AS bigint[]))"
_OF_VERSIONS = "patent_row IN (SELECT row_id FROM patents WHERE patent_id = :patent)"
_DELETIONS = (
    f"DELETE FROM description_vector_failures WHERE description IN (SELECT id FROM descriptions WHERE {_OF_DRAWINGS})",
    f"DELETE FROM description_vectors WHERE {_OF_DRAWINGS}",
    f"DELETE FROM descriptions WHERE {_OF_DRAWINGS}",
    # answers of models that no other patent's descriptions came from
    "DELETE FROM llm_calls WHERE key = ANY(CAST(:calls AS varchar[])) AND key NOT IN"
    " (SELECT unnest(calls) FROM descriptions WHERE calls && CAST(:calls AS varchar[]))",
    f"DELETE FROM enrich_failures WHERE {_OF_DRAWINGS}",
    f"DELETE FROM embed_failures WHERE {_OF_DRAWINGS}",
    f"DELETE FROM embeddings WHERE {_OF_DRAWINGS}",
    f"DELETE FROM drawings WHERE {_OF_VERSIONS}",
    f"DELETE FROM citations WHERE {_OF_VERSIONS}",
    f"DELETE FROM figures WHERE {_OF_VERSIONS}",
    f"DELETE FROM sheets WHERE {_OF_VERSIONS}",
    "DELETE FROM patents WHERE patent_id = :patent",
    "DELETE FROM set_aside WHERE record ~ :named AND reason <> 'erased'",
)
