"""Which way a search goes: compare every row that passes, or ask an approximate index.

The cost of comparing grows with the rows that pass:

    start + visited rows x visit + passing rows x compare x query vectors

The cost of asking depends on the effort (a graph's ef, or how many lists are read) that the wanted recall takes, which
was measured for each region's index with filters of several shares; a filter that leaves a smaller share takes more.
All constants were measured on the index itself (linework_core.vector_costs), how many rows pass is estimated from
Postgres's own statistics, and the cheaper way is taken. A wrong estimate costs time and never hits: an answer that
comes back short is followed by a scan.

A filter by class is different. Vectors lie close together by class, so in an index over more than the class a query
from elsewhere meets none of it. `auto` trusts only an index of that very class; and as a query that lies far from the
class sees all of it at about one distance, its effort was measured apart, by whether the query lies as near to the
class's centre as its own members do.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from linework_api.search.schemas import Mode
from linework_api.search.statistics import Statistics
from linework_api.search.target import Vectors
from linework_core.scope import Scope
from linework_core.vector_index import Effort, Measured, Region


@dataclass(frozen=True, slots=True)
class Plan:
    """The way chosen, what it was expected to cost, and the other ways that were weighed."""

    passing: int  # rows, estimated
    ms: float  # estimated
    region: Region | None = None  # None: compare all rows
    effort: int = 0
    most: int = 0  # rows after which an approximate index is given up
    weighed: tuple[tuple[str, float], ...] = ()  # the ways by name, with their estimated milliseconds
    kept: bool = True  # the recall that is promised can be had
    fell_short: bool = False  # the index gave too little, and a scan followed

    def as_json(self) -> dict[str, Any]:
        """For the record, and the answer to `explain=true`."""
        return {
            "way": self.region.kind if self.region else "scan",
            "index": self.region.index if self.region else None,
            "effort": self.effort or None,
            "estimated_rows": self.passing,
            "estimated_ms": round(self.ms, 2),
            "weighed": {name: round(ms, 2) for name, ms in self.weighed},
            "fell_short": self.fell_short,
        }


def choose(measured: Measured | None, rows: Statistics, scope: Scope, vectors: Vectors, k: int, mode: Mode) -> Plan:
    """The cheapest way that the mode allows. Without measurements, or without regions, that is a scan."""
    scan = _scan(measured, rows, scope, len(vectors))
    if measured is None or mode == "exact":
        return scan
    walks = []
    for region in _candidates(measured.regions, scope):
        if mode == "auto" and not _trusted(region, scope):
            continue
        efforts = region.efforts if _at_home(region, vectors) else region.afar
        if not efforts and mode == "approximate":
            efforts = region.efforts
        if efforts and (mode == "approximate" or efforts[0].ms < scan.ms):  # the first is that of the fewest hits
            walks.append(_walk(region, efforts, measured, rows, scan, len(vectors), k))
    if mode == "auto":
        walks = [walk for walk in walks if walk.kept]
    ways = walks if walks and mode == "approximate" else [scan, *walks]
    weighed = tuple((way.region.index if way.region else "scan", way.ms) for way in (scan, *walks))
    return replace(min(ways, key=lambda way: way.ms), weighed=weighed)


def _scan(measured: Measured | None, rows: Statistics, scope: Scope, vectors: int) -> Plan:
    passing, visited = rows.passing(scope), rows.visited(scope)
    if measured is None:
        return Plan(round(passing), 0.0)
    us = visited * measured.visit_row_us + passing * measured.compare_row_us * vectors
    return Plan(round(passing), measured.start_ms + us / 1_000)


def _walk(
    region: Region, efforts: list[Effort], measured: Measured, rows: Statistics, scan: Plan, vectors: int, k: int
) -> Plan:
    grown = rows.rows / max(measured.rows, 1)
    share = min(max(scan.passing, 1) / (region.rows * grown), 1.0)
    value, ms = _effort(efforts, k, share)
    met = region.met(value)
    # What has cost as much as a scan is given up for one; but the k it wants must have a chance to come by
    most = round(max(met * scan.ms / ms, 4 * k / share, met))
    kept = value <= region.most
    return Plan(scan.passing, ms * vectors, region, min(value, region.most), most, kept=kept)


def _candidates(regions: list[Region], scope: Scope) -> list[Region]:
    """The smallest region by date that holds all that may be found, and that of the class asked for."""
    holding = [region for region in regions if _holds(region, scope)]
    by_date = [region for region in holding if region.locarno is None]
    smallest = [min(by_date, key=lambda region: region.rows)] if by_date else []
    return smallest + [region for region in holding if region.locarno is not None]


def _holds(region: Region, scope: Scope) -> bool:
    """True if all that may be found lies in the region."""
    if region.before is not None:
        return scope.date_basis == "granted" and scope.before is not None and scope.before <= region.before
    return region.locarno is None or scope.locarno == (region.locarno,)


def _trusted(region: Region, scope: Scope) -> bool:
    """True if the filters leave out near and far alike, as those did that the recall was measured with."""
    return scope.within is None and scope.locarno in ((), (region.locarno,))


def _at_home(region: Region, vectors: Vectors) -> bool:
    """True if each vector lies as near to the region's centre as its members do."""
    return region.centre is None or bool((vectors @ np.asarray(region.centre, np.float32)).min() >= region.reach)


def _effort(efforts: list[Effort], k: int, share: float) -> tuple[int, float]:
    """The effort that it takes, and its milliseconds: between those measured, and stretched beyond them."""
    depths = sorted({effort.k for effort in efforts})
    at = [_at_share([effort for effort in efforts if effort.k == depth], share) for depth in depths]
    stretch = max(k / depths[-1], 1.0)
    value, ms = (float(np.interp(k, depths, values)) * stretch for values in zip(*at, strict=True))
    return max(math.ceil(value), 1), ms


def _at_share(efforts: list[Effort], share: float) -> tuple[float, float]:
    """Effort grows with how many are met for one that passes, 1/share."""
    met = [1.0 / effort.share for effort in efforts]
    stretch = max(1.0 / share / met[-1], 1.0)
    value = float(np.interp(1.0 / share, met, [effort.value for effort in efforts])) * stretch
    ms = float(np.interp(1.0 / share, met, [effort.ms for effort in efforts])) * stretch
    return value, ms
