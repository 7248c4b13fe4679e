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
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, select, text, update

from linework_core import encoders, nearest, vector_index
from linework_core.db import get_engine, transaction
from linework_core.encoders import EncoderFacts
from linework_core.nearest import MOST_EF, NOWHERE_FAR, Near
from linework_core.tables import Encoder, VectorIndex
from linework_core.vector_index import Effort, Graph, Measured

log = structlog.get_logger()
Vectors = NDArray[np.float32]

QUERIES = 200
SHARES = (1.0, 0.5, 0.25)
WANTED = {10: 0.994, 100: 0.985}  # recall, to be reached less one standard error, for a sample may be lucky
LADDER = (40, 50, 65, 80, 100, 125, 160, 200, 250, 300, 350, 400, 500, 600, 800, MOST_EF)
OUT_OF_REACH = 2 * MOST_EF
NEARLY_ALL = 0.98  # queries, whose nearest is no farther than is to be expected
STRANGE = 0.5  # a query's distance from a stored vector, in no direction that others lie in


def refresh(engine: Engine, encoder: Encoder) -> None:
    """Build what is missing; measure anew when the graphs changed or their rows grew by half."""
    graphs = vector_index.build(engine, encoder)
    with transaction(engine) as session:
        known = load(session.connection(), encoder)
    if not _stale(known, graphs):
        return
    with engine.connect() as connection:
        nearest.tune_transaction(connection)
        measured = measure(connection, encoder, graphs)
    with transaction(engine) as session:
        mine = update(VectorIndex).where(VectorIndex.encoder == encoder.number)
        session.execute(mine.values(measured=measured.model_dump(mode="json")))
    log.info("index_measured", encoder=encoder.encoder_id, rows=measured.rows, graphs=len(graphs))


def load(connection: Connection, encoder: Encoder | EncoderFacts) -> Measured | None:
    """What was measured last; None while nothing was."""
    stored = connection.scalar(select(VectorIndex.measured).where(VectorIndex.encoder == encoder.number))
    return Measured.model_validate(stored) if stored else None


def _stale(known: Measured | None, graphs: list[Graph]) -> bool:
    if known is None or not graphs:
        return bool(graphs)
    same = {graph.index for graph in known.graphs} == {graph.index for graph in graphs}
    return not same or graphs[0].rows > 1.5 * known.rows


def measure(connection: Connection, encoder: Encoder, graphs: list[Graph]) -> Measured:
    """Time scans and graphs with queries that resemble the stored vectors and equal none."""
    leaf = encoders.partition(encoder)
    rows = graphs[0].rows if graphs else 0
    everywhere = _Trial(connection, leaf, _queries(connection, leaf, "true"))
    start, visit, compare = everywhere.scan_costs()
    measured = [_measure_graph(connection, leaf, graph, everywhere) for graph in graphs]
    return Measured(
        at=dt.datetime.now(dt.UTC), rows=rows, start_ms=start, visit_row_us=visit, compare_row_us=compare,
        graphs=measured,
    )  # fmt: skip


def _measure_graph(connection: Connection, leaf: str, graph: Graph, everywhere: "_Trial") -> Graph:
    """A graph of a class is measured with queries at home in the class, and remembers what that means."""
    if graph.locarno is None:
        return graph.model_copy(update={"efforts": everywhere.efforts(graph)})
    queries = _queries(connection, leaf, graph.region)
    centre = connection.scalar(text(f"SELECT avg(vector)::real[] FROM {leaf} WHERE {graph.region}"))
    unit = _unit(np.asarray([centre], np.float32))[0]
    return graph.model_copy(
        update={
            "efforts": _Trial(connection, leaf, queries).efforts(graph),
            "centre": [round(float(value), 5) for value in unit],
            "reach": float((queries @ unit).min()),
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

    def efforts(self, graph: Graph) -> list[Effort]:
        """The least ef of the ladder that finds what is wanted, for each k and share."""
        found: list[Effort] = []
        for share in SHARES:
            inside = f"(hashtext(patent_id) & 1023) < {int(share * 1024)}"
            where = f"{graph.region} AND {inside}" if graph.region else inside
            truth = [nearest.scan(self._cursor, self._leaf, query, max(WANTED), where) for query in self._queries]
            far = self._far(truth)
            for k in WANTED:
                found.append(self._least_effort(graph, inside, [true[:k] for true in truth], k, share, far))
        return sorted(found, key=lambda effort: (effort.k, -effort.share))

    def _far(self, truth: list[list[Near]]) -> float:
        """Midway from where the nearest lies, for nearly all queries, to where the queries lie from one another."""
        queries = np.concatenate(self._queries)
        apart = 1.0 - (queries @ queries.T)[np.triu_indices(len(queries), 1)]
        found = [true[0].distance for true in truth if true]
        if not found or not len(apart):
            return NOWHERE_FAR
        near = float(np.quantile(found, NEARLY_ALL))
        return max((near + float(np.median(apart))) / 2, near)

    def _least_effort(
        self, graph: Graph, inside: str, truth: list[list[Near]], k: int, share: float, far: float
    ) -> Effort:
        tried: dict[int, Effort] = {}

        def reaches(ef: int) -> bool:
            walk = partial(
                nearest.walk, self._cursor, self._leaf, k=k, where=inside, region=graph.condition, ef=ef, far=far
            )
            walks = [_timed(partial(walk, query)) for query in self._queries]
            recalls = [_recall(near, true) for (near, _), true in zip(walks, truth, strict=True)]
            recall, error = statistics.fmean(recalls), statistics.stdev(recalls) / math.sqrt(len(recalls))
            tried[ef] = Effort(k=k, share=share, ef=ef, ms=_typical(ms for _, ms in walks), recall=recall, far=far)
            return recall - error >= WANTED[k]

        least = bisect_left(LADDER, True, key=reaches)
        if least == len(LADDER):
            return tried[LADDER[-1]].model_copy(update={"ef": OUT_OF_REACH})
        return tried[LADDER[least]]


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
