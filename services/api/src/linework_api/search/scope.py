"""Which rows a search may return: the filters, the snapshot, the patents left out."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from linework_api.search.schemas import DateBasis, Filters
from linework_core.corpus import visible
from linework_core.tables import Citation, Patent


@dataclass(frozen=True, slots=True)
class Scope:
    """Filters as they were resolved: days are days, and citations are lists of patents."""

    snapshot: int
    before: dt.date | None = None
    after: dt.date | None = None
    date_basis: DateBasis = "granted"
    locarno: tuple[str, ...] = ()
    office: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()  # patents
    among: frozenset[str] | None = None  # patents; None: all

    def passing(self, table: Any) -> list[ColumnElement[bool]]:
        """Conditions on a table that carries the filter columns (drawings or embeddings)."""
        return [*self._apart_from_dates(table), *self._dated(table)]

    def lacking_a_date(self, table: Any) -> list[ColumnElement[bool]] | None:
        """Conditions for rows that only their missing date keeps out; None when no date is asked for."""
        if not self._dated(table):
            return None
        return [*self._apart_from_dates(table), self.date(table).is_(None)]

    def date(self, table: Any) -> Any:
        """The column that `before` and `after` compare with."""
        return getattr(table, self.date_basis)

    def leaving_out(self, patents: frozenset[str]) -> "Scope":
        return replace(self, without=self.without | patents)

    def only(self, patents: frozenset[str]) -> "Scope":
        return replace(self, among=patents if self.among is None else self.among & patents)

    def _dated(self, table: Any) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if self.before is not None:
            conditions.append(self.date(table) < self.before)
        if self.after is not None:
            conditions.append(self.date(table) >= self.after)
        return conditions

    def _apart_from_dates(self, table: Any) -> list[ColumnElement[bool]]:
        conditions = [visible(table, self.snapshot)]
        if self.locarno:
            conditions.append(or_(*(_of_class(table.locarno, wanted) for wanted in self.locarno)))
        if self.office:
            conditions.append(table.office.in_(self.office))
        if self.view:
            conditions.append(table.view.in_(self.view))
        if self.without:
            conditions.append(table.patent_id.not_in(sorted(self.without)))
        if self.among is not None:
            conditions.append(table.patent_id.in_(sorted(self.among)))
        return conditions

    def as_json(self) -> dict[str, Any]:
        """For the record; `from_json` reads it."""
        return {
            "snapshot": self.snapshot,
            "before": self.before and self.before.isoformat(),
            "after": self.after and self.after.isoformat(),
            "date_basis": self.date_basis,
            "locarno": list(self.locarno),
            "office": list(self.office),
            "view": list(self.view),
            "without": sorted(self.without),
            "among": None if self.among is None else sorted(self.among),
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Scope":
        day: dict[str, Any] = {name: kept[name] and dt.date.fromisoformat(kept[name]) for name in ("before", "after")}
        several: dict[str, Any] = {name: tuple(kept[name]) for name in ("locarno", "office", "view")}
        among = None if kept["among"] is None else frozenset(kept["among"])
        without = frozenset(kept["without"])
        return cls(kept["snapshot"], date_basis=kept["date_basis"], without=without, among=among, **day, **several)


def _of_class(column: Any, wanted: str) -> ColumnElement[bool]:
    """A subclass by itself; a class ('14') with all its subclasses ('14-02')."""
    condition: ColumnElement[bool] = or_(column == wanted, column.startswith(f"{wanted}-"))
    return condition


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
        among=_among(session, filters, snapshot),
    )


def _among(session: Session, filters: Filters, snapshot: int) -> frozenset[str] | None:
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
