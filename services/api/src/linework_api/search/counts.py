"""How many drawings, or patents, pass a search's filters.

Rows of a snapshot never change, and so neither do their numbers. Filters that are asked for a second time are counted
by day, once, and that is remembered: a search with any other date, for any other patent, then adds up days instead of
reading an index of all rows. What is asked for only once, as while an ingest makes ever new snapshots, is counted by
itself.
"""

import datetime as dt
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import accumulate
from threading import Lock
from typing import Any

from cachetools import LRUCache
from sqlalchemy.orm import Session

from linework_api.search import repository
from linework_core import encoders
from linework_core.encoders import EncoderFacts
from linework_core.scope import Scope

REMEMBERED = 64  # sets of filters, each of at most some ten thousand weeks: 50 MB


@dataclass(frozen=True, slots=True)
class Counts:
    """`unindexed` have no vector yet; `undated` lack the date that is asked for, and pass otherwise."""

    eligible: int
    unindexed: int
    undated: int


@dataclass(frozen=True, slots=True)
class ByDay:
    """What passes, by its date: `earlier[i]` have a date before `days[i]`; the last of them is all that have one."""

    days: list[dt.date]
    earlier: list[int]
    undated: int

    def asked_by(self, scope: Scope) -> int:
        """How many have a date that the scope asks for; all where it asks for none."""
        if scope.before is None and scope.after is None:
            return self.earlier[-1] + self.undated
        first = bisect_left(self.days, scope.after) if scope.after else 0
        last = bisect_left(self.days, scope.before) if scope.before else len(self.days)
        return max(self.earlier[last] - self.earlier[first], 0)


class Tally:
    """Counts for searches; what it remembers is bounded, and shared by threads."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._known: LRUCache[Any, ByDay | None] = LRUCache(remembered)
        self._lock = Lock()

    def count(self, session: Session, encoder: EncoderFacts, scope: Scope, *, patents: bool = False) -> Counts:
        """How many pass with and without a vector, and how many lack the date asked for.

        With `patents`, `eligible` counts the patents that have a drawing which passes. All drawings of a patent have
        its dates, so patents, too, may be added up by day.
        """
        leaf, what = encoders.partition(encoder), "count(DISTINCT patent_id)" if patents else "count(*)"
        lacking = scope.sql_without_date("drawings")
        undated = f"(SELECT count(*) FROM drawings WHERE {lacking})" if lacking else "0"
        named = {"within": sorted(scope.without if scope.within is None else scope.within)}
        params = scope.params() | named | {"encoder": encoder.number}
        eligible = self._passing(session, leaf, scope, what, params)
        [counted] = repository.ask(session, f"SELECT {eligible}, {undated}, {_COMPLETE}", params)
        unindexed = 0
        if not counted[-1]:
            both = (self._passing(session, table, scope, "count(*)", params) for table in ("drawings", leaf))
            [(unindexed,)] = repository.ask(session, f"SELECT {' - '.join(both)}", params)
        return Counts(counted[0], unindexed, counted[1])

    def _passing(self, session: Session, table: str, scope: Scope, what: str, params: dict[str, Any]) -> str:
        """SQL for how many rows pass: all of them, or what is remembered less what the search leaves out by name."""
        days = self._by_day(session, table, scope, what) if scope.within is None else None
        if days is None:
            return f"(SELECT {what} FROM {table} WHERE {scope.sql(table)})"
        left_out = replace(scope, within=scope.without, without=frozenset())
        params[f"of_{table}"] = days.asked_by(scope)
        return f"(%(of_{table})s::bigint - (SELECT {what} FROM {table} WHERE {left_out.sql(table)}))"

    def _by_day(self, session: Session, table: str, scope: Scope, what: str) -> ByDay | None:
        """Of all that passes but for dates and patents; None for filters that nobody has asked for yet."""
        dateless = replace(scope, before=None, after=None, without=frozenset())
        key = (table, what, dateless)
        with self._lock:
            first, known = key not in self._known, self._known.setdefault(key, None)
        if known is None and not first:
            known = _count_by_day(session, table, dateless, what)
            with self._lock:
                self._known[key] = known
        return known


def _count_by_day(session: Session, table: str, scope: Scope, what: str) -> ByDay:
    day = scope.date_basis
    statement = f"SELECT {day}, {what} FROM {table} WHERE {scope.sql(table)} GROUP BY {day} ORDER BY {day} NULLS FIRST"
    found = repository.ask(session, statement, scope.params())
    undated = found.pop(0)[1] if found and found[0][0] is None else 0
    return ByDay([day for day, _ in found], [0, *accumulate(number for _, number in found)], undated)


# Whether every drawing of the snapshot is known to have a vector in it (encoders.note_if_complete)
_COMPLETE = """EXISTS (SELECT FROM indexes WHERE encoder = %(encoder)s AND complete_at <= %(snapshot)s
    AND complete_at >= coalesce((SELECT max(added_in) FROM drawings WHERE added_in <= %(snapshot)s), 0))"""
