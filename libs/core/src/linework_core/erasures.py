"""Tombstones of erased patents: who asks for one is told so, and nobody loads it again."""

from collections.abc import Collection

from obstore.store import ObjectStore
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from linework_core import patent_ids, store
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


def unfinished(session: Session) -> list[Erasure]:
    """Tombstones whose pictures have not all been deleted."""
    some = or_(func.cardinality(Erasure.originals) > 0, func.cardinality(Erasure.derivatives) > 0)
    return list(session.scalars(select(Erasure).where(some).with_for_update(skip_locked=True)))


def delete_pictures(session: Session, objects: ObjectStore, erasure: Erasure) -> int:
    """Delete its pictures from the object store, but for those that another patent has, too; returns how many.

    Doing it twice changes nothing. Raises Unavailable where the store fails; the tombstone remembers what is left.
    """
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
    return len(keys)
