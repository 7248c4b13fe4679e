"""How many rows pass a filter, estimated from what Postgres's ANALYZE knows of an index's table: no row is read."""

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from sqlalchemy import text
from sqlalchemy.orm import Session

from linework_core.scope import Scope


@dataclass(frozen=True)
class Column:
    """One column: how often its commonest values occur, and quantiles of the rest."""

    null_share: float = 0.0
    distinct: float = 1.0
    common: dict[str, float] = field(default_factory=dict)
    quantiles: list[str] = field(default_factory=list)  # ISO dates sort as text

    @cached_property
    def rest(self) -> float:
        """The share of the values that are not common."""
        return max(1.0 - self.null_share - sum(self.common.values()), 0.0)

    @cached_property
    def in_order(self) -> tuple[list[str], list[float]]:
        """The common values, sorted, and the share of all that lie before each."""
        values = sorted(self.common)
        return values, [0.0, *accumulate(self.common[value] for value in values)]

    def below(self, bound: str) -> float:
        """The share of all rows whose value is less than `bound`."""
        values, before = self.in_order
        steps = max(len(self.quantiles) - 1, 1)
        return before[bisect_left(values, bound)] + self.rest * min(bisect_left(self.quantiles, bound) / steps, 1.0)

    def equal(self, value: str) -> float:
        return self.common.get(value, self.rest / max(self.distinct - len(self.common), 1.0))

    def of_class(self, wanted: str) -> float:
        """The share of a class with its subclasses, as far as they are common."""
        values, before = self.in_order
        beneath = before[bisect_left(values, f"{wanted}.")] - before[bisect_left(values, f"{wanted}-")]
        return self.equal(wanted) + beneath


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one leaf of the embeddings."""

    rows: int
    columns: dict[str, Column]

    def passing(self, scope: Scope) -> float:
        """Rows expected to pass, as if the filters had nothing to do with one another."""
        return min(self._by_date(scope) * self._by_class(scope) * self._by_the_rest(scope) * self.rows, self.rows)

    def visited(self, scope: Scope) -> float:
        """Rows that a scan looks at: the indexes are ordered by class and date of grant."""
        if scope.within is not None:
            return self._by_the_rest(scope) * self.rows
        by_date = self._by_date(scope) if scope.date_basis == "granted" else 1.0
        by_class = self._by_class(scope) if len(scope.locarno) == 1 else 1.0
        return min(by_date * by_class, 1.0) * self.rows

    def _by_date(self, scope: Scope) -> float:
        column = self._column(scope.date_basis)
        if scope.before is None and scope.after is None:
            return 1.0
        latest = column.below(scope.before.isoformat()) if scope.before else 1.0 - column.null_share
        earliest = column.below(scope.after.isoformat()) if scope.after else 0.0
        return max(latest - earliest, 0.0)

    def _by_class(self, scope: Scope) -> float:
        wanted, column = scope.locarno, self._column("locarno")
        return min(sum(column.of_class(one) for one in wanted), 1.0) if wanted else 1.0

    def _by_the_rest(self, scope: Scope) -> float:
        share = 1.0
        for name, wanted in (("office", scope.office), ("view", scope.view)):
            if wanted:
                share *= min(sum(self._column(name).equal(one) for one in wanted), 1.0)
        if scope.within is not None:
            share *= min(len(scope.within) / max(self._column("patent_id").distinct, 1.0), 1.0)
        return share

    def _column(self, name: str) -> Column:
        return self.columns.get(name, Column())


def load(session: Session, leaf: str) -> Statistics:
    """As of the last ANALYZE; no rows where there was none."""
    rows = session.scalar(text("SELECT reltuples FROM pg_class WHERE oid = cast(:leaf AS regclass)"), {"leaf": leaf})
    total = max(int(rows or 0), 0)
    found = session.execute(
        text("""SELECT attname, null_frac, n_distinct, most_common_vals::text::text[], most_common_freqs,
                       histogram_bounds::text::text[] FROM pg_stats
                WHERE tablename = :leaf AND attname = ANY(:columns)"""),
        {"leaf": leaf, "columns": ["granted", "filed", "priority", "locarno", "office", "view", "patent_id"]},
    )
    return Statistics(total, {name: _column(total, *rest) for name, *rest in found})


def _column(
    rows: int,
    null_share: float,
    distinct: float,
    values: list[str] | None,
    shares: list[float] | None,
    bounds: list[str] | None,
) -> Column:
    number = distinct if distinct >= 0 else -distinct * rows  # Postgres writes a share of all rows as its negative
    return Column(null_share, number, dict(zip(values or [], shares or [], strict=True)), bounds or [])
