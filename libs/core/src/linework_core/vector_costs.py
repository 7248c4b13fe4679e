"""What a search of an encoder's vectors costs, measured on these vectors and stored with their index.

`python -m linework_core.vector_costs [encoder id]` builds the indexes that are missing and measures; the embedder does
so at the end of each job. The planner of searches decides by these numbers alone.
"""

import argparse
import datetime as dt
import math
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, select, text, update

from linework_core import encoders, nearest, vector_index
from linework_core.db import get_engine, transaction
from linework_core.nearest import Near
from linework_core.tables import Encoder, VectorIndex
from linework_core.vector_index import Effort, Measured, Region

log = structlog.get_logger()
Vectors = NDArray[np.float32]

QUERIES = 200
SHARES = (1.0, 0.5, 0.25)
WANTED = {10: 0.994, 100: 0.985}  # recall, to be reached less one standard error, for a sample may be lucky
LADDER = (40, 50, 65, 80, 100, 125, 160, 200, 250, 300, 350, 400, 500, 600, 800, 1000)
PROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
FURTHEST = 20_000  # rows that a search meets at most while too few pass
GROWN = 1.5  # what was measured on fewer rows by this factor is measured anew
STRANGE = 0.5  # a query's distance from a stored vector, in no direction that others lie in


def refresh(engine: Engine, encoder: Encoder) -> None:
    """Build what is missing; measure what is new, and what grew by half."""
    regions = vector_index.build(engine, encoder)
    if not regions:
        return
    with transaction(engine) as session:
        known = load(session.connection(), encoder)
    kept = {region.index: region for region in known.regions} if known else {}
    stale = [region for region in regions if _is_stale(region, kept.get(region.index))]
    if not stale and len(kept) == len(regions):
        return
    with engine.connect() as connection:
        nearest.tune_transaction(connection)
        measured = measure(connection, encoder, regions, {} if known is None else kept)
    with transaction(engine) as session:
        mine = update(VectorIndex).where(VectorIndex.encoder == encoder.number)
        session.execute(mine.values(measured=measured.model_dump(mode="json")))
    log.info("index_measured", encoder=encoder.encoder_id, rows=measured.rows, regions=len(regions), anew=len(stale))


def load(connection: Connection, encoder: Encoder) -> Measured | None:
    """What was measured last; None while nothing was."""
    stored = connection.scalar(select(VectorIndex.measured).where(VectorIndex.encoder == encoder.number))
    return Measured.model_validate(stored) if stored else None


def _is_stale(region: Region, known: Region | None) -> bool:
    return known is None or region.rows > GROWN * known.rows


def measure(
    connection: Connection, encoder: Encoder, regions: list[Region], known: Mapping[str, Region] = MappingProxyType({})
) -> Measured:
    """Time scans and approximate indexes with queries that resemble the stored vectors and equal none.

    What is known of a region by its index's name, and still holds, is taken over.
    """
    leaf = encoders.partition(encoder)
    everywhere = _Trial(connection, leaf, _queries(connection, leaf, "true"))
    start, visit, compare = everywhere.scan_costs()
    measured = []
    for region in regions:
        before = known.get(region.index)
        if before is None or _is_stale(region, before):
            measured.append(_measure_region(connection, leaf, region, everywhere))
        else:
            measured.append(before)
    return Measured(
        at=dt.datetime.now(dt.UTC), rows=regions[0].rows if regions else 0, start_ms=start, visit_row_us=visit,
        compare_row_us=compare, regions=measured,
    )  # fmt: skip


def _measure_region(connection: Connection, leaf: str, region: Region, everywhere: "_Trial") -> Region:
    """An index of a class is measured with queries at home in the class, and remembers what that means. Its lists are
    measured with queries from everywhere, too; a graph finds the wrong ones for those, whatever the effort.
    """
    if region.locarno is None:
        return region.model_copy(update={"efforts": everywhere.efforts(region)})
    queries = _queries(connection, leaf, region.condition)
    centre = connection.scalar(text(f"SELECT avg(vector)::real[] FROM {leaf} WHERE {region.condition}"))
    unit = _unit(np.asarray([centre], np.float32))[0]
    return region.model_copy(
        update={
            "efforts": _Trial(connection, leaf, queries).efforts(region),
            "centre": [round(float(value), 5) for value in unit],
            "reach": float((queries @ unit).min()),
            "afar": everywhere.efforts(region) if region.lists else [],
        }
    )


def _queries(connection: Connection, leaf: str, which: str) -> Vectors:
    """Stored vectors (QUERIES, d), each moved in a direction of its own: near the rest, and new."""
    sample = f"SELECT vector::real[] FROM {leaf} WHERE {which} ORDER BY random() LIMIT {QUERIES}"
    drawn = np.asarray(connection.scalars(text(sample)).all(), np.float32)
    noise = np.random.default_rng(QUERIES).standard_normal(drawn.shape, np.float32)
    return _unit(drawn + STRANGE * _unit(noise))


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return unit


class _Trial:
    """Searches of one leaf, timed, and compared with the truth."""

    def __init__(self, connection: Connection, leaf: str, queries: Vectors) -> None:
        self._cursor = nearest.cursor(connection)
        self._leaf = leaf
        self._queries = [query[None] for query in queries]

    def scan_costs(self) -> tuple[float, float, float]:
        """Milliseconds to start, microseconds a row visited, and a row compared, from scans of the oldest rows."""
        few, all_few = self._scan_oldest(1_000)
        many, all_many = self._scan_oldest(11_000)
        _, none_many = self._scan_oldest(11_000, "office = ''")
        row = max((all_many - all_few) / max(many - few, 1), 1e-5)
        start = max(all_few - row * few, 0.0)
        visit = min(max((none_many - start) / max(many, 1), 0.0), row)
        return start, 1_000 * visit, 1_000 * (row - visit)

    def _scan_oldest(self, rows: int, which: str = "true") -> tuple[int, float]:
        day = f"SELECT granted FROM {self._leaf} WHERE granted IS NOT NULL ORDER BY granted OFFSET %s LIMIT 1"
        found = self._cursor.execute(day, [rows]).fetchone()
        where, params = ("granted < %(day)s", {"day": found[0]}) if found else ("granted IS NOT NULL", {})
        counted = self._cursor.execute(f"SELECT count(*) FROM {self._leaf} WHERE {where}", params).fetchone()
        scan = partial(nearest.scan, self._cursor, self._leaf, k=10, where=f"{where} AND {which}", params=params)
        return (counted or [0])[0], _typical(_timed(partial(scan, query))[1] for query in self._queries)

    def efforts(self, region: Region) -> list[Effort]:
        """The least effort of the ladder that finds what is wanted, for each k and share."""
        found: list[Effort] = []
        for share in SHARES:
            inside = f"(hashtext(patent_id) & 1023) < {int(share * 1024)}"
            where = f"{region.condition} AND {inside}"
            truth = [nearest.scan(self._cursor, self._leaf, query, max(WANTED), where) for query in self._queries]
            for k in WANTED:
                found.append(self._least_effort(region, inside, [true[:k] for true in truth], k, share))
        return sorted(found, key=lambda effort: (effort.k, -effort.share))

    def _least_effort(self, region: Region, inside: str, truth: list[list[Near]], k: int, share: float) -> Effort:
        tried: dict[int, Effort] = {}

        def reaches(value: int) -> bool:
            settings = region.settings(value, FURTHEST)
            walk = partial(
                nearest.walk, self._cursor, self._leaf, k=k, where=inside, region=region.condition, settings=settings
            )
            walks = [_timed(partial(walk, query)) for query in self._queries]
            recalls = [_recall(near, true) for (near, _), true in zip(walks, truth, strict=True)]
            recall, error = statistics.fmean(recalls), statistics.stdev(recalls) / math.sqrt(len(recalls))
            tried[value] = Effort(k=k, share=share, value=value, ms=_typical(ms for _, ms in walks), recall=recall)
            return recall - error >= WANTED[k]

        ladder = LADDER if region.lists is None else [*(step for step in PROBES if step < region.most), region.most]
        least = bisect_left(ladder, True, key=reaches)
        if least == len(ladder):
            return tried[ladder[-1]].model_copy(update={"value": 2 * region.most})
        return tried[ladder[least]]


def _timed(search: Callable[[], list[Near]]) -> tuple[list[Near], float]:
    started = time.perf_counter()
    found = search()
    return found, 1_000 * (time.perf_counter() - started)


def _typical(times: Iterable[float]) -> float:
    """The lower quartile: what else the machine does makes times longer, never shorter."""
    return float(np.quantile(list(times), 0.25))


def _recall(found: list[Near], truth: list[Near]) -> float:
    """The share of the truth that was found; what lies as near as the last of the truth counts as well."""
    if not truth:
        return 1.0
    reached = sum(near.distance <= truth[-1].distance + 1e-6 for near in found)
    return min(reached, len(truth)) / len(truth)


def main(argv: list[str] | None = None) -> None:
    """Build and measure the index of one encoder, or of all that are kept up to date."""
    parser = argparse.ArgumentParser(prog="python -m linework_core.vector_costs", description=main.__doc__)
    parser.add_argument("encoder", nargs="?", help="an encoder's id")
    asked = parser.parse_args(argv)
    with transaction() as session:
        mine = [encoders.find(session, asked.encoder)] if asked.encoder else encoders.current(session)
        session.expunge_all()
    for encoder in mine:
        refresh(get_engine(), encoder)


if __name__ == "__main__":
    main()
