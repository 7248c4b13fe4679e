"""The indexes of an encoder's vectors: two that hold whole rows in order, and approximate ones over regions.

A filter that leaves few rows is answered by comparing all of them. Two covering B-trees, by date and by class, let
such a scan read rows side by side and never touch the table. A filter that leaves many is answered by an approximate
index over a region of the corpus: everything, the older half, the oldest quarter, and so on (together no larger than
the first), and each large class. A search takes the smallest that holds all it may find: in an index over everything it
would waste its steps on what is too late, or of other classes.

A large region has an HNSW graph. A smaller one has inverted lists (IVFFlat): where a few thousand vectors lie side by
side, reading the nearest lists whole takes a fraction of what walking a graph from page to page does.
"""

import datetime as dt
import hashlib
import math
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
from linework_core.tables import Encoder

log = structlog.get_logger()

M = 24
EF_CONSTRUCTION = 200
MOST_EF = 1000  # pgvector allows no more
MOST_PROBES = 32_768  # likewise
SCANNED_ROWS = 5_000  # a corpus with fewer has no approximate index, so all of its answers are exact
REGION_ROWS = 700  # fewer are compared about as fast (docs/benchmarks/search.md)
GRAPH_ROWS = 30_000  # a region has a graph from here on, and lists below
COVERED_ROWS = 2_000  # fewer are read from the table as quickly
PATIENCE = "5min"  # for transactions that began before an index was made; it becomes valid when they are over
WIDEST = 1_100  # dimensions at which a row with the longest ids still fits into an entry of a B-tree (2,704 bytes)
_PLAIN = re.compile(r"[\w .,&()/-]+")  # what may stand in SQL as it is
_ALIKE = (0.35, 0.75)  # an old region serves as the 'older half' while its share lies between these


class Effort(BaseModel):
    """For the k nearest among a `share` of a region's rows: the effort that reaches the recall wanted, and its time.

    `value` is a graph's ef, or how many lists are read. More than the index allows says that none sufficed.
    """

    k: int
    share: float
    value: int
    ms: float
    recall: float


class Region(BaseModel):
    """One approximate index: over all rows, those granted before a date, or those of one class."""

    index: str
    before: dt.date | None = None
    locarno: str | None = None
    rows: int
    lists: int | None = None  # None: a graph
    efforts: list[Effort] = []  # by k, then by ever smaller shares
    centre: list[float] | None = None  # of a class: the mean of its vectors, as a unit vector …
    reach: float = -1.0  # … and the cosine with it that a query has at least, if it is at home there
    afar: list[Effort] = []  # of a class: for queries that are not

    @property
    def kind(self) -> str:
        return "graph" if self.lists is None else "lists"

    @property
    def condition(self) -> str:
        """What the index holds and what asks for it, in SQL, word for word as the index has it.

        The last part is true of every row. Postgres takes a partial index where a query implies its condition, and
        would take that of another region that holds the rows, too; this part is in the condition of one alone.
        """
        parts = [f"drawing_row <> -{1 + zlib.crc32(f'{self.kind} {self.before} {self.locarno}'.encode())}"]
        if self.before is not None:
            parts.append(f"granted < '{self.before.isoformat()}'::date")
        if self.locarno is not None:
            parts.append(f"locarno = '{self.locarno}'")
        return " AND ".join(parts)

    @property
    def most(self) -> int:
        """The greatest effort."""
        return MOST_EF if self.lists is None else min(self.lists, MOST_PROBES)

    def met(self, value: float) -> float:
        """About how many rows an effort meets."""
        return value if self.lists is None else value * self.rows / self.lists

    def settings(self, value: int, rows: int) -> dict[str, str]:
        """Postgres's settings for an effort, and for going on until so many rows were met while too few pass."""
        if self.lists is None:
            return {"hnsw.ef_search": str(value), "hnsw.max_scan_tuples": str(max(rows, value))}
        probes = min(math.ceil(rows * self.lists / max(self.rows, 1)), MOST_PROBES)
        return {"ivfflat.probes": str(value), "ivfflat.max_probes": str(max(probes, value))}


class Measured(BaseModel):
    """What searching an encoder's vectors costs, as measured on them. Stored with the index."""

    at: dt.datetime
    rows: int
    start_ms: float  # a statement that finds no row
    visit_row_us: float  # a row that is read and does not pass
    compare_row_us: float  # a row that passes, for each vector of the query
    regions: list[Region] = []


def build(engine: Engine, encoder: Encoder) -> list[Region]:
    """Make the indexes that the encoder's rows call for, drop those outlived, and return the regions.

    Readers and writers go on meanwhile. If another process builds already, this one returns at once with [].
    """
    with _alone(engine, encoder) as connection:
        if connection is None:
            return []
        leaf = encoders.partition(encoder)
        regions = wanted_regions(connection, leaf)
        wanted = covering(encoder, leaf) if _rows(connection, leaf) >= COVERED_ROWS else {}
        changed = _make(connection, leaf, wanted | {region.index: _sql(region, encoder, leaf) for region in regions})
        changed |= _drop_others(connection, leaf, regions)
        if f"{leaf}_counted" in _standing(connection, leaf):
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {leaf}_granted_idx"))  # of an empty leaf
        if changed:  # a covering index is read without its table only where vacuum has seen the rows
            connection.execute(text(f"VACUUM (ANALYZE) {leaf}"))
        standing = _standing(connection, leaf)
        return [region for region in regions if region.index in standing]


def build_for_descriptions(engine: Engine, encoder: Encoder) -> None:
    """Make the graph over the encoder's description vectors, once there are so many that a scan is slower."""
    with _alone(engine, encoder) as connection:
        if connection is None:
            return
        number, name = int(encoder.number), f"description_vectors_{int(encoder.number)}"
        rows = text("SELECT count(*) FROM description_vectors WHERE encoder = :encoder")
        if (connection.scalar(rows, {"encoder": number}) or 0) >= SCANNED_ROWS:
            sql = f"CREATE INDEX CONCURRENTLY {name} ON description_vectors {_graph(encoder)} WHERE encoder = {number}"
            _make(connection, "description_vectors", {name: sql})


@contextmanager
def _alone(engine: Engine, encoder: Encoder) -> Iterator[Connection | None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        lock = {"a": 7117003, "b": encoder.number}
        connection.execute(text(f"SET lock_timeout = '{PATIENCE}'"))
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:a, :b)"), lock):
            yield None
            return
        try:
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


def _sql(region: Region, encoder: Encoder, leaf: str) -> str:
    how = _graph(encoder) if region.lists is None else _lists(encoder, region.lists)
    return f"CREATE INDEX CONCURRENTLY {region.index} ON {leaf} {how} WHERE {region.condition}"


def _graph(encoder: Encoder) -> str:
    operators = f"((vector::halfvec({encoder.dimension})) halfvec_cosine_ops)"
    return f"USING hnsw {operators} WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})"


def _lists(encoder: Encoder, lists: int) -> str:
    return f"USING ivfflat ((vector::halfvec({encoder.dimension})) halfvec_cosine_ops) WITH (lists = {lists})"


def _region(leaf: str, rows: int, *, before: dt.date | None = None, locarno: str | None = None) -> Region:
    """The number of lists is a power of two, and part of the name: so they are made anew when the rows double."""
    lists = (
        2 ** round(math.log2(rows**0.75 / 7)) if rows < GRAPH_ROWS else None
    )  # 50 rows a list at 2,000, 90 at 20,000
    name = _prefix(leaf, before, locarno) + ("graph" if lists is None else f"lists{lists}")
    return Region(index=name, before=before, locarno=locarno, rows=rows, lists=lists)


def _prefix(leaf: str, before: dt.date | None, locarno: str | None) -> str:
    if before is not None:
        return f"{leaf}_near_before_{before:%Y%m%d}_"
    if locarno is not None:
        return f"{leaf}_near_class_{hashlib.sha256(locarno.encode()).hexdigest()[:12]}_"
    return f"{leaf}_near_"


def wanted_regions(connection: Connection, leaf: str) -> list[Region]:
    """Regions for the rows as they are: everything, ever older halves, and the large classes.

    A region that stands and still serves as a half is kept, since building a graph is dear.
    """
    rows = _rows(connection, leaf)
    if rows < SCANNED_ROWS:
        return []
    regions = [_region(leaf, rows)]
    days = connection.execute(
        text(f"SELECT granted, count(*) FROM {leaf} WHERE granted IS NOT NULL GROUP BY granted ORDER BY granted")
    ).all()
    standing = _standing(connection, leaf)
    while (half := _older_half(days, regions[-1].rows, leaf, standing)) is not None:
        regions.append(half)
    classes = text(
        f"SELECT locarno, count(*) FROM {leaf} WHERE locarno IS NOT NULL GROUP BY 1 HAVING count(*) >= :least"
    )
    for locarno, number in connection.execute(classes, {"least": REGION_ROWS}):
        if number < _ALIKE[1] * rows and _PLAIN.fullmatch(locarno):
            regions.append(_region(leaf, number, locarno=locarno))
    return regions


def _older_half(days: Sequence[Any], rows: int, leaf: str, standing: set[str]) -> Region | None:
    """The oldest rows that make about half of `rows`; a region that stands comes before a new one."""
    so_far, best = 0, None
    for (_, number), (following, _) in pairwise(days):
        so_far += number
        if so_far < REGION_ROWS or not _ALIKE[0] * rows <= so_far <= _ALIKE[1] * rows:
            continue
        known = any(name.startswith(_prefix(leaf, following, None)) for name in standing)
        offered = (known, -abs(so_far - rows / 2))
        if best is None or offered > best[0]:
            best = (offered, following, so_far)
    return _region(leaf, best[2], before=best[1]) if best else None


def _rows(connection: Connection, leaf: str) -> int:
    return int(connection.scalar(text(f"SELECT count(*) FROM {leaf}")) or 0)


def _standing(connection: Connection, leaf: str) -> set[str]:
    """Names of the leaf's valid indexes; one whose building was interrupted is not valid."""
    names = text(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = cast(:leaf AS regclass) AND indisvalid"
    )
    return set(connection.scalars(names, {"leaf": leaf}))


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


def _drop_others(connection: Connection, leaf: str, regions: list[Region]) -> bool:
    """Drop approximate indexes that no search would take any more; `_graph` is what earlier releases called theirs."""
    kept = {region.index for region in regions}
    ours = (f"{leaf}_near_", f"{leaf}_graph")
    outlived = {name for name in _standing(connection, leaf) if name.startswith(ours) and name not in kept}
    for name in outlived:
        connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
    return bool(outlived)
