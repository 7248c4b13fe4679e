"""The indexes of an encoder's vectors: two that hold whole rows in order, and graphs over regions of the corpus.

A filter that leaves few rows is answered by comparing all of them. Two covering B-trees, by date and by class, let
such a scan read rows side by side and never touch the table. A filter that leaves many is answered by an HNSW graph.
Searched for what lies before a date, a graph over everything wastes its steps on what is too late; so there is a graph
for the older half of the corpus, one for the oldest quarter, and so on (together no larger than the first), and one
for each very large class. A search takes the smallest graph that holds all it may find.
"""

import datetime as dt
import hashlib
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import structlog
from pydantic import BaseModel
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from linework_core import encoders
from linework_core.nearest import NOWHERE_FAR
from linework_core.tables import Encoder

log = structlog.get_logger()

M = 32  # no larger an index than 24: five entries of 512 dimensions fill a page either way
EF_CONSTRUCTION = 200
SCANNED_ROWS = 5_000  # fewer are compared about as fast as a graph is walked (docs/benchmarks/search.md)
CLASS_ROWS = 15_000  # a class has its own graph from here on
COVERED_ROWS = 2_000  # fewer are read from the table as quickly
PATIENCE = "5min"  # for transactions that began before an index was made; it becomes valid when they are over
WIDEST = 1_100  # dimensions at which a row with the longest ids still fits into an entry of a B-tree (2,704 bytes)
_PLAIN = re.compile(r"[\w .,&()/-]+")  # what may stand in SQL as it is
_ALIKE = (0.35, 0.75)  # an old graph serves as the 'older half' while its share lies between these


class Effort(BaseModel):
    """For the k nearest among a `share` of a graph's rows: the ef that reaches the recall wanted, and its time.

    An ef above 1,000, which is none, says that no ef reached it. A walk whose nearest hit is beyond `far`, a cosine
    distance, ended in the wrong place.
    """

    k: int
    share: float
    ef: int
    ms: float
    recall: float
    far: float = NOWHERE_FAR


class Graph(BaseModel):
    """One HNSW index: over all rows, those granted before a date, or those of one class."""

    index: str
    before: dt.date | None = None
    locarno: str | None = None
    rows: int
    efforts: list[Effort] = []  # by k, then by ever smaller shares
    centre: list[float] | None = None  # of a class: the mean of its vectors, as a unit vector …
    reach: float = -1.0  # … and the cosine with it that a query has at least, if what was measured is to hold for it

    @property
    def condition(self) -> str:
        """What the index holds and what asks for it, in SQL, word for word as the index has it.

        The first part is true of every row. Postgres takes a partial index where a query implies its condition, and
        would take that of another region that holds the rows, too; this part is in the condition of one alone.
        """
        own = f"drawing_row <> -{1 + zlib.crc32(f'{self.before} {self.locarno}'.encode())}"
        return f"{own} AND {self.region}" if self.region else own

    @property
    def region(self) -> str:
        """The rows that it is over, in SQL as the covering B-trees answer it; '' for all rows."""
        if self.before is not None:
            return f"granted < '{self.before.isoformat()}'::date"
        if self.locarno is not None:  # that by class is sorted by the bytes of the name
            return f"locarno COLLATE \"C\" = '{self.locarno}'"
        return ""


class Measured(BaseModel):
    """What searching an encoder's vectors costs, as measured on them. Stored with the index."""

    at: dt.datetime
    rows: int
    start_ms: float  # a statement that finds no row
    visit_row_us: float  # a row that is read and does not pass
    compare_row_us: float  # a row that passes, for each vector of the query
    graphs: list[Graph] = []


def build(engine: Engine, encoder: Encoder) -> list[Graph]:
    """Make the indexes that the encoder's rows call for, drop those outlived, and return the graphs.

    Readers and writers go on meanwhile. If another process builds already, this one returns at once with [].
    """
    with alone(engine, encoder) as connection:
        if connection is None:
            return []
        leaf = encoders.partition(encoder)
        graphs = wanted_graphs(connection, leaf)
        wanted = covering(encoder, leaf) if _rows(connection, leaf) >= COVERED_ROWS else {}
        changed = _make(connection, leaf, wanted | {graph.index: _graph_sql(graph, encoder, leaf) for graph in graphs})
        changed |= _drop_others(connection, leaf, graphs)
        if f"{leaf}_counted" in _standing(connection, leaf):
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {leaf}_granted_idx"))  # of an empty leaf
        if changed:  # a covering index is read without its table only where vacuum has seen the rows
            connection.execute(text(f"VACUUM (ANALYZE) {leaf}"))
        standing = _standing(connection, leaf)
        return [graph for graph in graphs if graph.index in standing]


def build_for_descriptions(engine: Engine, encoder: Encoder) -> None:
    """Make the graph over the encoder's description vectors, once there are so many that a scan is slower."""
    with alone(engine, encoder) as connection:
        if connection is None:
            return
        number, name = int(encoder.number), of_descriptions(encoder)
        rows = text("SELECT count(*) FROM description_vectors WHERE encoder = :encoder")
        if (connection.scalar(rows, {"encoder": number}) or 0) >= SCANNED_ROWS:
            sql = f"CREATE INDEX CONCURRENTLY {name} ON description_vectors {_hnsw(encoder)} WHERE encoder = {number}"
            _make(connection, "description_vectors", {name: sql})


def of_descriptions(encoder: Encoder) -> str:
    """Name of the graph over the encoder's description vectors."""
    return f"description_vectors_{int(encoder.number)}"


@contextmanager
def alone(engine: Engine, encoder: Encoder) -> Iterator[Connection | None]:
    """A connection without a transaction, for as long as no other process works on the encoder's indexes; else None."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        lock = {"a": encoders.CLEARING, "b": encoder.number}
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:a, :b)"), lock):
            yield None
            return
        try:
            connection.execute(text(f"SET lock_timeout = '{PATIENCE}'"))
            yield connection
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:a, :b)"), lock)
            connection.execute(text("RESET lock_timeout"))


def covering(encoder: Encoder, leaf: str) -> dict[str, str]:
    """DDL by name. `COLLATE "C"` lets '14-' to '14.' find a class by range; NOT NULL keeps date-only searches off.

    Counting what passes reads an index of its own, a tenth as large for it has no vectors.
    """
    seen = "added_in, removed_in"
    filters = "patent_id, locarno, office, view"
    columns = {f"{leaf}_counted": f"(granted) INCLUDE ({seen}, {filters}, filed, priority)"}
    if encoder.dimension <= WIDEST:
        rest = f"{seen}, drawing_row, vector, drawing_id, {filters}"
        columns[f"{leaf}_by_date"] = f"(granted) INCLUDE ({rest})"
        columns[f"{leaf}_by_class"] = f'(locarno COLLATE "C", granted) INCLUDE ({rest}) WHERE locarno IS NOT NULL'
    return {name: f"CREATE INDEX CONCURRENTLY {name} ON {leaf} {which}" for name, which in columns.items()}


def _graph_sql(graph: Graph, encoder: Encoder, leaf: str) -> str:
    return f"CREATE INDEX CONCURRENTLY {graph.index} ON {leaf} {_hnsw(encoder)} WHERE {graph.condition}"


def _hnsw(encoder: Encoder) -> str:
    operators = f"((vector::halfvec({encoder.dimension})) halfvec_cosine_ops)"
    return f"USING hnsw {operators} WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})"


def wanted_graphs(connection: Connection, leaf: str) -> list[Graph]:
    """Graphs for the rows as they are: everything, ever older halves, and the large classes.

    A graph that stands and still serves as a half is kept, since building is dear.
    """
    rows = _rows(connection, leaf)
    if rows < SCANNED_ROWS:
        return []
    graphs = [Graph(index=f"{leaf}_hnsw", rows=rows)]
    days = connection.execute(
        text(f"SELECT granted, count(*) FROM {leaf} WHERE granted IS NOT NULL GROUP BY granted ORDER BY granted")
    ).all()
    standing = _standing(connection, leaf)
    while (half := _older_half(days, graphs[-1].rows, leaf, standing)) is not None:
        graphs.append(half)
    classes = text(
        f"SELECT locarno, count(*) FROM {leaf} WHERE locarno IS NOT NULL GROUP BY 1 HAVING count(*) >= :least"
    )
    for locarno, number in connection.execute(classes, {"least": CLASS_ROWS}):
        if number < _ALIKE[1] * rows and _PLAIN.fullmatch(locarno):
            digest = hashlib.sha256(locarno.encode()).hexdigest()[:12]
            graphs.append(Graph(index=f"{leaf}_hnsw_class_{digest}", locarno=locarno, rows=number))
    return graphs


def _older_half(days: Sequence[Any], rows: int, leaf: str, standing: set[str]) -> Graph | None:
    """The oldest rows that make about half of `rows`; a graph that stands comes before a new one."""
    so_far, best = 0, None
    for (_, number), (following, _) in pairwise(days):
        so_far += number
        name = f"{leaf}_hnsw_before_{following:%Y%m%d}"
        if so_far < SCANNED_ROWS or not _ALIKE[0] * rows <= so_far <= _ALIKE[1] * rows:
            continue
        offered = (name in standing, -abs(so_far - rows / 2))
        if best is None or offered > best[0]:
            best = (offered, Graph(index=name, before=following, rows=so_far))
    return best[1] if best else None


def _rows(connection: Connection, leaf: str) -> int:
    return int(connection.scalar(text(f"SELECT count(*) FROM {leaf}")) or 0)


def _standing(connection: Connection, leaf: str, *, ruins: bool = False) -> set[str]:
    """Names of the leaf's valid indexes; with `ruins`, of those as well whose building was interrupted."""
    names = text(
        "SELECT indexrelid::regclass::text FROM pg_index"
        " WHERE indrelid = cast(:leaf AS regclass) AND (indisvalid OR :ruins)"
    )
    return set(connection.scalars(names, {"leaf": leaf, "ruins": ruins}))


def _make(connection: Connection, leaf: str, wanted: dict[str, str]) -> bool:
    missing = {name: sql for name, sql in wanted.items() if name not in _standing(connection, leaf)}
    for name, sql in missing.items():
        started = time.monotonic()
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        try:
            connection.exec_driver_sql(sql)
        except OperationalError as error:  # a transaction stood open for too long; the next job tries again
            log.warning("index_not_built", index=name, error=str(error.orig).strip())
            continue
        log.info("index_built", index=name, seconds=round(time.monotonic() - started, 1))
    return bool(missing)


def _drop_others(connection: Connection, leaf: str, graphs: list[Graph]) -> bool:
    """Drop graphs that no search would take any more, and what is left of one that is not wanted any more."""
    kept = {graph.index for graph in graphs}
    there = _standing(connection, leaf, ruins=True)
    outlived = {name for name in there if name.startswith(f"{leaf}_hnsw") and name not in kept}
    for name in outlived:
        connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
    return bool(outlived)
