"""What a search may return, as SQL. The rules about time stand here and nowhere else."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text

from linework_api.search.schemas import Filters

_VISIBLE = "({t}.added_in <= :snapshot AND ({t}.removed_in IS NULL OR {t}.removed_in > :snapshot))"


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows a search may return: the filters, the snapshot, the patents left out, and those it is held to."""

    filters: Filters
    snapshot: int
    without: frozenset[str] = frozenset()
    within: frozenset[str] | None = None

    def passing(self, table: Any) -> list[TextClause]:
        """Conditions on a table that carries the filter columns (Drawing or Embedding)."""
        return self._clauses(table, [*self._dated(), *self._undated()])

    def lacking_a_date(self, table: Any) -> list[TextClause] | None:
        """Conditions for rows that only their missing date keeps out; None when no date is asked for."""
        if not self._dated():
            return None
        return self._clauses(table, [f"{{t}}.{self.filters.date_basis} IS NULL", *self._undated()])

    def sql(self, table: str) -> str:
        """The conditions as psycopg writes them, on a table of that name. Scopes of one shape give one text."""
        return _NAME.sub(r"%(\1)s", " AND ".join([*self._dated(), *self._undated()]).format(t=table))

    def params(self) -> dict[str, Any]:
        """The values of all names in the conditions."""
        values: dict[str, Any] = {"snapshot": self.snapshot, "before": self.filters.before, "after": self.filters.after}
        values |= {"office": self.filters.office, "without": sorted(self.without), "within": sorted(self.within or ())}
        for number, wanted in enumerate(self.filters.locarno):
            values |= {f"class{number}": wanted, f"below{number}": f"{wanted}-", f"end{number}": f"{wanted}."}
        return values

    def _dated(self) -> list[str]:
        column = f"{{t}}.{self.filters.date_basis}"
        bounds = ((self.filters.before, f"{column} < :before"), (self.filters.after, f"{column} >= :after"))
        return [condition for value, condition in bounds if value is not None]

    def _undated(self) -> list[str]:
        conditions = []
        if self.filters.locarno:
            classes = (_OF_CLASS.replace("#", str(number)) for number in range(len(self.filters.locarno)))
            conditions.append(f"({' OR '.join(classes)})")
        if self.filters.office:
            conditions.append("{t}.office = ANY(:office)")
        if self.within is not None:
            conditions.append("{t}.patent_id = ANY(:within)")
        if self.without:
            conditions.append("{t}.patent_id <> ALL(:without)")
        return [*conditions, _VISIBLE]

    def _clauses(self, table: Any, conditions: list[str]) -> list[TextClause]:
        values = self.params()
        written = [condition.format(t=table.__table__.name) for condition in conditions]
        return [text(one).bindparams(**{name: values[name] for name in _NAME.findall(one)}) for one in written]


_NAME = re.compile(r":([a-z]+[0-9]*)")

# A subclass by itself; a class ('14') with all its subclasses ('14-02'). In the order of bytes '14-' to '14.' is all
# that begins with '14-', so that an index can find it; the first two bounds hold both parts, for the same reason.
_OF_CLASS = """({t}.locarno COLLATE "C" >= :class# AND {t}.locarno COLLATE "C" < :end#
    AND ({t}.locarno COLLATE "C" = :class# OR {t}.locarno COLLATE "C" >= :below#))"""
