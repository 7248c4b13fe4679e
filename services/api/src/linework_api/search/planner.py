"""Which way a search goes: compare every row that passes, or walk a graph.

The cost of comparing grows with the rows that pass:

    start + visited rows x visit + passing rows x compare x query vectors

The cost of walking depends on the effort (`ef`) that the wanted recall takes, which was measured for each graph with
filters of several shares; a filter that leaves a smaller share makes the walk longer. All constants were measured on
the index itself (linework_core.vector_costs), how many rows pass is estimated from Postgres's own statistics, and
the cheaper way is taken. A wrong estimate costs time and never hits: a walk that comes back short is followed by a
scan.

A filter by class is different. Vectors lie close together by class, so a walk that starts far from the class asked for
meets none of it. `auto` walks under such a filter only in a graph of that very class, and scans otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from linework_api.search.schemas import Mode
from linework_api.search.scope import Scope
from linework_api.search.statistics import Statistics
from linework_core.vector_index import Effort, Graph, Measured

MOST_EF = 1000  # pgvector allows no more; beyond it the walk is continued in rounds


@dataclass(frozen=True, slots=True)
class Plan:
    """The way chosen, what it was expected to cost, and the other ways that were weighed."""

    passing: int  # rows, estimated
    ms: float  # estimated
    graph: Graph | None = None  # None: compare all rows
    ef: int = 0
    most: int = 0  # rows after which a walk is given up
    weighed: tuple[tuple[str, float], ...] = ()  # the ways by name, with their estimated milliseconds
    fell_short: bool = False  # the walk found too little, and a scan followed

    def as_json(self) -> dict[str, Any]:
        """For the record, and the answer to `explain=true`."""
        return {
            "way": "graph" if self.graph else "scan",
            "index": self.graph.index if self.graph else None,
            "ef": self.ef or None,
            "estimated_rows": self.passing,
            "estimated_ms": round(self.ms, 2),
            "weighed": {name: round(ms, 2) for name, ms in self.weighed},
            "fell_short": self.fell_short,
        }


def choose(measured: Measured | None, rows: Statistics, scope: Scope, vectors: int, k: int, mode: Mode) -> Plan:
    """The cheapest way that the mode allows. Without measurements, or without graphs, that is a scan."""
    scan = _scan(measured, rows, scope, vectors)
    walks = [] if measured is None or mode == "exact" else list(_walks(measured, rows, scope, vectors, k, mode, scan))
    ways = [scan, *walks] if mode != "approximate" or not walks else walks
    best = min(ways, key=lambda way: way.ms)
    weighed = tuple((way.graph.index if way.graph else "scan", way.ms) for way in (scan, *walks))
    return Plan(best.passing, best.ms, best.graph, best.ef, best.most, weighed)


def _scan(measured: Measured | None, rows: Statistics, scope: Scope, vectors: int) -> Plan:
    passing, visited = rows.passing(scope), rows.visited(scope)
    if measured is None:
        return Plan(round(passing), 0.0)
    us = visited * measured.visit_row_us + passing * measured.compare_row_us * vectors
    return Plan(round(passing), measured.start_ms + us / 1_000)


def _walks(
    measured: Measured, rows: Statistics, scope: Scope, vectors: int, k: int, mode: Mode, scan: Plan
) -> Iterator[Plan]:
    for graph in measured.graphs:
        if not graph.efforts or not _holds(graph, scope):
            continue
        if mode == "auto" and not _is_even(graph, scope):
            continue
        share = min(max(scan.passing, 1) / (graph.rows * rows.rows / measured.rows), 1.0)
        effort = _effort(graph.efforts, k, share)
        ms = effort.ms * vectors
        given_up = max(round(scan.ms / (effort.ms / effort.ef)), round(4 * k / share), effort.ef)
        yield Plan(scan.passing, ms, graph, min(effort.ef, MOST_EF), given_up)


def _holds(graph: Graph, scope: Scope) -> bool:
    """True if all that may be found lies in the graph's region."""
    if graph.before is not None:
        return scope.date_basis == "granted" and scope.before is not None and scope.before <= graph.before
    return graph.locarno is None or scope.locarno == (graph.locarno,)


def _is_even(graph: Graph, scope: Scope) -> bool:
    """True if the filters, within the graph's region, leave out near and far alike."""
    return scope.locarno in ((), (graph.locarno,)) and scope.within is None


def _effort(efforts: list[Effort], k: int, share: float) -> Effort:
    """The measured effort for at least k out of at most this share, stretched where it was not measured."""
    enough = min((effort.k for effort in efforts if effort.k >= k), default=max(effort.k for effort in efforts))
    fitting = [effort for effort in efforts if effort.k == enough]
    narrow = [effort for effort in fitting if effort.share <= share]
    nearest = max(narrow, key=lambda e: e.share) if narrow else min(fitting, key=lambda e: e.share)
    stretch = max(k / nearest.k, 1.0) * max(nearest.share / share, 1.0)
    return nearest.model_copy(update={"ef": round(nearest.ef * stretch), "ms": nearest.ms * stretch})
