"""The scope that a search's filters mean."""

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api.search.schemas import Filters
from linework_core import patent_ids
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
        without=frozenset(reading for text in filters.exclude for reading in patent_ids.readings(text)),
        within=_within(session, filters, snapshot),
    )


def _within(session: Session, filters: Filters, snapshot: int) -> frozenset[str] | None:
    """The patents that `cites` and `cited_by` leave, or None where neither is asked for."""
    sets = []
    if filters.cites is not None:
        citing = select(Patent.patent_id).join(Citation, Citation.patent_row == Patent.row_id)
        numbers = patent_ids.citation_readings(filters.cites)
        citing = citing.where(Citation.number.in_(numbers), visible(Patent, snapshot))
        sets.append(frozenset(session.scalars(citing)))
    if filters.cited_by is not None:
        cited = select(Citation.number).join(Patent, Patent.row_id == Citation.patent_row)
        citing_id = patent_ids.resolve_one(session, filters.cited_by)
        cited = cited.where(Patent.patent_id == citing_id, visible(Patent, snapshot))
        ids = {reading for number in session.scalars(cited) for reading in patent_ids.readings(number)}
        named = select(Patent.patent_id).where(Patent.patent_id.in_(ids), visible(Patent, snapshot))
        sets.append(frozenset(session.scalars(named)))
    return frozenset.intersection(*sets) if sets else None
