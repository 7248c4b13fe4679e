"""Which drawings a search or an enrichment means, as SQL. The rules about time stand here and nowhere else."""

import datetime as dt
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import TextClause, text

DateBasis = Literal["granted", "filed", "priority"]

_VISIBLE = "({t}.added_in <= :snapshot AND ({t}.removed_in IS NULL OR {t}.removed_in > :snapshot))"
_NAME = re.compile(r":([a-z]+[0-9]*)")

# A subclass by itself; a class ('14') with all its subclasses ('14-02'). In the order of bytes '14-' to '14.' is all
# that begins with '14-', so that an index can find it; the first two bounds hold both parts, for the same reason.
_OF_CLASS = """({t}.locarno COLLATE "C" >= :class# AND {t}.locarno COLLATE "C" < :end#
    AND ({t}.locarno COLLATE "C" = :class# OR {t}.locarno COLLATE "C" >= :below#))"""


@lru_cache(256)
def _for_psycopg(table: str, *conditions: str) -> str:
    return _NAME.sub(r"%(\1)s", " AND ".join(conditions).format(t=table))


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
    within: frozenset[str] | None = None  # patents; None: all

    def passing(self, table: Any) -> list[TextClause]:
        """Conditions on a table that carries the filter columns (Drawing or Embedding)."""
        return self._clauses(table, [*self._dated(), *self._undated()])

    def sql(self, table: str) -> str:
        """The conditions as psycopg writes them, on a table of that name. Scopes of one shape give one text."""
        return _for_psycopg(table, *self._dated(), *self._undated())

    def sql_without_date(self, table: str) -> str | None:
        """The conditions for rows that only their missing date keeps out; None when no date is asked for."""
        if not self._dated():
            return None
        return _for_psycopg(table, f"{{t}}.{self.date_basis} IS NULL", *self._undated())

    def params(self) -> dict[str, Any]:
        """The values of all names in the conditions."""
        values: dict[str, Any] = {"snapshot": self.snapshot, "before": self.before, "after": self.after}
        values |= {"office": list(self.office), "view": list(self.view)}
        values |= {"without": sorted(self.without), "within": sorted(self.within or ())}
        for number, wanted in enumerate(self.locarno):
            values |= {f"class{number}": wanted, f"below{number}": f"{wanted}-", f"end{number}": f"{wanted}."}
        return values

    def date(self, table: Any) -> Any:
        """The column that `before` and `after` compare with."""
        return getattr(table, self.date_basis)

    def leaving_out(self, patents: frozenset[str]) -> "Scope":
        return replace(self, without=self.without | patents)

    def only(self, patents: frozenset[str]) -> "Scope":
        return replace(self, within=patents if self.within is None else self.within & patents)

    def _dated(self) -> list[str]:
        column = f"{{t}}.{self.date_basis}"
        bounds = ((self.before, f"{column} < :before"), (self.after, f"{column} >= :after"))
        return [condition for value, condition in bounds if value is not None]

    def _undated(self) -> list[str]:
        conditions = []
        if self.locarno:
            classes = (_OF_CLASS.replace("#", str(number)) for number in range(len(self.locarno)))
            conditions.append(f"({' OR '.join(classes)})")
        if self.office:
            conditions.append("{t}.office = ANY(:office)")
        if self.view:
            conditions.append("{t}.view = ANY(:view)")
        if self.within is not None:
            conditions.append("{t}.patent_id = ANY(:within)")
        if self.without:
            conditions.append("{t}.patent_id <> ALL(:without)")
        return [*conditions, _VISIBLE]

    def _clauses(self, table: Any, conditions: list[str]) -> list[TextClause]:
        values = self.params()
        written = [condition.format(t=table.__table__.name) for condition in conditions]
        return [text(one).bindparams(**{name: values[name] for name in _NAME.findall(one)}) for one in written]

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
            "within": None if self.within is None else sorted(self.within),
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Scope":
        day: dict[str, Any] = {name: kept[name] and dt.date.fromisoformat(kept[name]) for name in ("before", "after")}
        several: dict[str, Any] = {name: tuple(kept[name]) for name in ("locarno", "office", "view")}
        within = None if kept["within"] is None else frozenset(kept["within"])
        without = frozenset(kept["without"])
        return cls(kept["snapshot"], date_basis=kept["date_basis"], without=without, within=within, **day, **several)
