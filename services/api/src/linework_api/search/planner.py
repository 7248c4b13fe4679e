"""Which way a search goes: compare every row that passes, or walk a graph.

The cost of comparing grows with the rows that pass:

    start + visited rows x visit + passing rows x compare x query vectors

The cost of walking depends on the effort (`ef`) that the wanted recall takes, which was measured for each graph with
filters of several shares; a filter that leaves a smaller share makes the walk longer. All constants were measured on
the index itself (linework_core.vector_costs), how many rows pass is estimated from Postgres's own statistics, and
the cheaper way is taken. A wrong estimate costs time and never hits: a walk that comes back short is followed by a
scan.

A filter by class is different. Vectors lie close together by class, so a walk that starts far from the class asked for
meets none of it. `auto` walks under such a filter only in a graph of that very class, and only for a query that lies
as near to the class's centre as its own members do: from afar they all look alike, and a walk finds the wrong ones.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from linework_api.search.schemas import Mode
from linework_api.search.statistics import Statistics
from linework_api.search.target import Vectors
from linework_core.nearest import MOST_EF, NOWHERE_FAR
from linework_core.scope import Scope
from linework_core.vector_index import Effort, Graph, Measured


@dataclass(frozen=True, slots=True)
class Plan:
    """The way chosen, what it was expected to cost, and the other ways that were weighed."""

    passing: int  # rows, estimated
    ms: float  # estimated
    graph: Graph | None = None  # None: compare all rows
    ef: int = 0
    most: int = 0  # rows after which a walk is given up
    far: float = NOWHERE_FAR  # the cosine distance beyond which a walk's nearest hit says that it has gone astray
    weighed: tuple[tuple[str, float], ...] = ()  # the ways by name, with their estimated milliseconds
    kept: bool = True  # the recall that is promised can be had
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


def choose(measured: Measured | None, rows: Statistics, scope: Scope, vectors: Vectors, k: int, mode: Mode) -> Plan:
    """The cheapest way that the mode allows. Without measurements, or without graphs, that is a scan."""
    scan = _scan(measured, rows, scope, len(vectors))
    if measured is None or mode == "exact":
        return scan
    least = min((effort.ms for graph in measured.graphs for effort in graph.efforts[:1]), default=math.inf)
    if mode == "auto" and scan.ms <= least:  # no walk, not even for few hits without a filter, takes so little
        return scan
    graphs = [graph for graph in measured.graphs if graph.efforts and _holds(graph, scope)]
    walks = [_walk(graph, measured, rows, scan, len(vectors), k) for graph in graphs]
    if mode == "auto":
        promised = (walk.kept and _promises(graph, scope, vectors) for graph, walk in zip(graphs, walks, strict=True))
        walks = [walk for walk, sure in zip(walks, promised, strict=True) if sure]
    ways = walks if walks and mode == "approximate" else [scan, *walks]
    weighed = tuple((way.graph.index if way.graph else "scan", way.ms) for way in (scan, *walks))
    return replace(min(ways, key=lambda way: way.ms), weighed=weighed)


def _scan(measured: Measured | None, rows: Statistics, scope: Scope, vectors: int) -> Plan:
    passing, visited = rows.passing(scope), rows.visited(scope)
    if measured is None:
        return Plan(round(passing), 0.0)
    us = visited * measured.visit_row_us + passing * measured.compare_row_us * vectors
    return Plan(round(passing), measured.start_ms + us / 1_000)


def _walk(graph: Graph, measured: Measured, rows: Statistics, scan: Plan, vectors: int, k: int) -> Plan:
    grown = rows.rows / max(measured.rows, 1)
    share = min(max(scan.passing, 1) / (graph.rows * grown), 1.0)
    ef, ms, far = _effort(graph.efforts, k, share)
    # A walk that has cost as much as a scan is given up for one; but the k it wants must have a chance to come by
    most = max(round(ef * scan.ms / ms), round(4 * k / share), ef)
    # One that would need more effort than there is keeps no promise
    return Plan(scan.passing, ms * vectors, graph, min(ef, MOST_EF), most, far, kept=ef <= MOST_EF)


def _holds(graph: Graph, scope: Scope) -> bool:
    """True if all that may be found lies in the graph's region."""
    if graph.before is not None:
        return scope.date_basis == "granted" and scope.before is not None and scope.before <= graph.before
    return graph.locarno is None or scope.locarno == (graph.locarno,)


def _promises(graph: Graph, scope: Scope, vectors: Vectors) -> bool:
    """True if the measured recall holds: the filters leave out near and far alike, and the query is at home here."""
    if scope.within is not None or scope.locarno not in ((), (graph.locarno,)):
        return False
    return graph.centre is None or bool((vectors @ np.asarray(graph.centre, np.float32)).min() >= graph.reach)


def _effort(efforts: list[Effort], k: int, share: float) -> tuple[int, float, float]:
    """The ef that it takes, its milliseconds, and what is far: between those measured, and stretched beyond them."""
    depths = sorted({effort.k for effort in efforts})
    at = [_at_share([effort for effort in efforts if effort.k == depth], share) for depth in depths]
    ef, ms, far = _between(k, depths, at)
    stretch = max(k / depths[-1], 1.0)
    return max(round(ef * stretch), 1), ms * stretch, far


def _at_share(efforts: list[Effort], share: float) -> tuple[float, ...]:
    """Effort grows with how many are met for one that passes, 1/share."""
    met = [1.0 / effort.share for effort in efforts]
    stretch = max(1.0 / share / met[-1], 1.0)
    ef, ms, far = _between(1.0 / share, met, [(effort.ef, effort.ms, effort.far) for effort in efforts])
    return ef * stretch, ms * stretch, far


def _between(x: float, known: Sequence[float], values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Linear interpolation; what lies outside is as the nearest. For three numbers numpy's calls cost far more."""
    at = bisect_left(known, x)
    if at == 0 or at == len(known):
        return values[max(at - 1, 0)]
    weight = (x - known[at - 1]) / (known[at] - known[at - 1])
    return tuple(low + weight * (high - low) for low, high in zip(values[at - 1], values[at], strict=True))
