"""The scope that a search's filters mean."""

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api.search.schemas import Filters
from linework_core.corpus import visible
from linework_core.scope import Scope
from linework_core.tables import Citation, Patent


def resolve(session: Session, filters: Filters, snapshot: int, own_date: dt.date | None = None) -> Scope:
    """The scope that filters mean at a snapshot; `own_date` is what 'self' stands for."""
    before = own_date if filters.before == "self" else filters.before
    return Scope(
        snapshot,
        before=before,
        after=filters.after,
        date_basis=filters.date_basis,
        locarno=tuple(filters.locarno),
        office=tuple(filters.office),
        view=tuple(filters.view),
        without=frozenset(filters.exclude),
        within=_within(session, filters, snapshot),
    )


def _within(session: Session, filters: Filters, snapshot: int) -> frozenset[str] | None:
    """The patents that `cites` and `cited_by` leave, or None where neither is asked for."""
    sets = []
    if filters.cites is not None:
        citing = select(Patent.patent_id).join(Citation, Citation.patent_row == Patent.row_id)
        citing = citing.where(Citation.number == unpadded(filters.cites), visible(Patent, snapshot))
        sets.append(frozenset(session.scalars(citing)))
    if filters.cited_by is not None:
        cited = select(Citation.number).join(Patent, Patent.row_id == Citation.patent_row)
        cited = cited.where(Patent.patent_id == filters.cited_by, visible(Patent, snapshot))
        named = (Patent.office + Patent.number).in_(cited)
        sets.append(frozenset(session.scalars(select(Patent.patent_id).where(named, visible(Patent, snapshot)))))
    return frozenset.intersection(*sets) if sets else None


def unpadded(number: str) -> str:
    """'USD0907292' as citations name it: 'USD907292'."""
    letters = number.rstrip("0123456789")
    digits = number.removeprefix(letters)
    return letters + (digits.lstrip("0") or digits)
