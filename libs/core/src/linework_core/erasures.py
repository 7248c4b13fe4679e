"""Tombstones of erased patents: who asks for one is told so, and nobody loads it again."""

import datetime as dt
from collections.abc import Collection, Sequence

from obstore.store import ObjectStore
from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.orm import Session

from linework_core import corpus, patent_ids, store
from linework_core.errors import Erased, Unavailable
from linework_core.tables import Drawing, Erasure, Sheet


def in_force(session: Session, patent_ids: Collection[str]) -> dict[str, Erasure]:
    """Tombstones by patent, but for those that were lifted."""
    of_them = select(Erasure).where(Erasure.patent_id.in_(patent_ids), Erasure.lifted_at.is_(None))
    return {erasure.patent_id: erasure for erasure in session.scalars(of_them)}


def check_patent(session: Session, patent_id: str) -> None:
    """For a patent that is not there, by its id as people write it: raises Erased if it was erased. A lifted tombstone
    still says so.
    """
    _raise(session.scalars(_newest().where(Erasure.patent_id.in_(patent_ids.readings(patent_id)))).first())


def check_drawing(session: Session, drawing_id: str) -> None:
    """The same for a drawing, whose id begins with its patent's."""
    begins = func.starts_with(drawing_id, Erasure.patent_id + "-")
    _raise(session.scalars(_newest().where(begins)).first())


def check_shown(patents: Collection[str]) -> None:
    """Raises Erased for a search that showed these erased patents, or asked by them; nothing where there are none."""
    if patents:
        raise Erased(f"It cannot be answered again: {', '.join(sorted(patents))} was erased since.")


def _newest() -> Select[Erasure]:
    return select(Erasure).order_by(Erasure.id.desc()).limit(1)


def _raise(erasure: Erasure | None) -> None:
    if erasure is not None:
        raise Erased(f"The patent {erasure.patent_id} was erased on {erasure.erased_at:%Y-%m-%d}.")


_UNFINISHED = or_(func.cardinality(Erasure.originals) > 0, func.cardinality(Erasure.derivatives) > 0)


def unfinished(session: Session) -> list[int]:
    """Tombstones whose pictures have not all been deleted: their ids."""
    return list(session.scalars(select(Erasure.id).where(_UNFINISHED)))


def delete_pictures(session: Session, objects: ObjectStore, erasure_id: int) -> int:
    """Delete its pictures from the object store, but for those that another patent has, too; returns how many.

    The corpus is locked: nobody writes a row that names one of them meanwhile, nor adds pictures to the tombstone.
    Doing it twice changes nothing. Raises Unavailable where the store fails; the tombstone remembers what is left.
    """
    corpus.lock(session)
    erasure = session.get_one(Erasure, erasure_id, with_for_update=True, populate_existing=True)
    originals, derivatives = set(erasure.originals), set(erasure.derivatives)
    originals -= set(session.scalars(select(Sheet.original).where(Sheet.original.in_(originals))))
    originals -= set(session.scalars(select(Drawing.original).where(Drawing.original.in_(originals))))
    derivatives -= set(session.scalars(select(Drawing.derivative).where(Drawing.derivative.in_(derivatives))))
    keys = [store.original_key(one) for one in originals] + [store.derivative_key(one) for one in derivatives]
    for key in keys:
        try:
            store.delete(objects, key)
        except store.FAILURES as error:
            reason = str(error).splitlines()[0]
            raise Unavailable(f"The object store does not delete {key}. {reason}", retry_after=30) from error
    erasure.originals, erasure.derivatives = [], []
    erasure.pictures_deleted_at = func.clock_timestamp()  # not when the transaction began: it waited for the lock
    return len(keys)


def check_pictures(session: Session, objects: ObjectStore, versions: Sequence[int], since: dt.datetime) -> None:
    """Raises Unavailable if an erasure has deleted a picture of these new versions (rows of patents).

    They were stored before the corpus was locked, at `since` or later. Only an erasure after that can have deleted one,
    or one that has deleted some of its pictures and failed.
    """
    deleted = or_(Erasure.pictures_deleted_at >= since, _UNFINISHED)
    if session.scalars(select(Erasure.id).where(deleted).limit(1)).first() is None:
        return
    drawings = session.execute(select(Drawing.original, Drawing.derivative).where(Drawing.patent_row.in_(versions)))
    keys = {
        key
        for original, derivative in drawings
        for key in (store.original_key(original), store.derivative_key(derivative))
    }
    sheets = session.scalars(select(Sheet.original).where(Sheet.patent_row.in_(versions)))
    for key in sorted(keys | {store.original_key(original) for original in sheets}):
        if not store.has(objects, key):
            raise Unavailable(f"An erasure has deleted {key} meanwhile: it has to be stored again.", retry_after=1)


def mark_searches(session: Session, erasure: Erasure) -> int:
    """Searches that showed it, or asked by it, say so; returns how many are new. Of the latter the vectors go: they
    are its picture's. Records that are written at the same time are not seen: the sweep marks once more.
    """
    by_it = {"patent": erasure.patent_id, "names": erasure.drawing_ids, "snapshot": erasure.snapshot}
    marking = session.execute(text(_MARK_SEARCHES), by_it | {"rows": erasure.drawing_rows})
    session.execute(text(_BLANK_VECTORS), by_it)
    return int(marking.rowcount)  # type: ignore[attr-defined]


# `snapshot`: the patent may have been loaded again since; what was searched then stays
_BY_IT = """(request ->> 'patent' = :patent OR request ->> 'drawing' = ANY(CAST(:names AS text[]))
    OR request -> 'like' ?| CAST(:names AS text[]) OR request -> 'unlike' ?| CAST(:names AS text[])
    OR request ? 'patent' AND query -> 'scope' -> 'without' ? :patent
       AND request ->> 'family' IS DISTINCT FROM 'exclude')"""
_MARK_SEARCHES = f"""
    UPDATE searches SET erased = array_append(erased, CAST(:patent AS text))
    WHERE snapshot < :snapshot AND (rows && CAST(:rows AS bigint[]) OR {_BY_IT})
      AND NOT erased @> ARRAY[CAST(:patent AS text)]"""
_BLANK = "decode(repeat('00', length(vectors)), 'hex')"
_BLANK_VECTORS = f"""
    UPDATE searches SET vectors = {_BLANK} WHERE snapshot < :snapshot AND vectors <> {_BLANK} AND {_BY_IT}"""


def mark_searches_again(session: Session, before: dt.datetime) -> None:
    """Mark the searches that were under way when a patent was erased; of erasures since `before`."""
    later = select(Erasure).where(Erasure.erased_at > before).order_by(Erasure.id)
    for erasure in session.scalars(later).all():
        mark_searches(session, erasure)
