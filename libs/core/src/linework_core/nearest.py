"""The two ways to the nearest vectors: compare every row that passes, or walk an HNSW graph.

Both are one round trip of prepared statements on a bare psycopg cursor, with vectors in binary: for a small search
anything more would cost as much as the search. A drawing's distance to several vectors is that to the nearest.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Connection, Engine, event, func, select

# For every connection that searches. Their statements are prepared, and planning one anew costs more than it finds:
# what a plan depends on is in the statement's text. Parallel workers take longer to start than most scans last, and
# many searches run at once. Relaxed order, because strict order drops rows that the walk meets too late.
SESSION = {
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.scan_mem_multiplier": "8",
}
_FOUND = "drawing_row, drawing_id, patent_id"
MOST_EF = 1000  # pgvector allows no more
NOWHERE_FAR = 2.0  # the largest cosine distance


class Near(NamedTuple):
    """A drawing's version and its cosine distance, 0 to 2."""

    drawing_row: int
    drawing_id: str
    patent_id: str
    distance: float

    @property
    def score(self) -> float:
        """Its cosine similarity, -1 to 1."""
        return 1.0 - self.distance


class _HalfvecDumper(Dumper):
    """The server tells from the statement that the parameter is a halfvec, so nobody looks up the type's number."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: HalfVector) -> bytes:
        return bytes(obj.to_binary())


def tune(engine: Engine) -> None:
    """Let all connections that this engine opens from now on be good at searching."""

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: object) -> None:
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = {value}")
        connection.commit()


def tune_transaction(connection: Connection) -> None:
    """Let this connection be good at searching until its transaction ends, whenever it was opened."""
    for name, value in SESSION.items():
        connection.execute(select(func.set_config(name, value, True)))


def cursor(connection: Connection) -> psycopg.Cursor[Any]:
    """A cursor in the connection's transaction that takes vectors as parameters and reads results in binary."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    if not connection.info.get("takes_vectors"):
        driver.adapters.register_dumper(HalfVector, _HalfvecDumper)
        connection.info["takes_vectors"] = True
    return driver.cursor(binary=True)


def scan(
    cursor: psycopg.Cursor[Any],
    leaf: str,
    vectors: NDArray[np.floating[Any]],
    k: int,
    where: str = "true",
    params: Mapping[str, Any] = {},
) -> list[Near]:
    """The k nearest rows of `leaf` that pass, by comparing all of them; ties by drawing id.

    `vectors` is (m, d); `where` is SQL with psycopg's named parameters.
    """
    statement = (
        f"SELECT {_FOUND}, {_distance(len(vectors))} AS distance FROM {leaf} WHERE {where}"
        " ORDER BY distance, drawing_id LIMIT %(k)s"
    )
    cursor.execute(statement, {**params, **_named(vectors), "k": k}, prepare=True)
    return [Near._make(row) for row in cursor.fetchall()]


def walk(
    cursor: psycopg.Cursor[Any],
    leaf: str,
    vectors: NDArray[np.floating[Any]],
    k: int,
    where: str = "true",
    params: Mapping[str, Any] = {},
    *,
    region: str = "",
    ef: int,
    most: int = 20_000,
    far: float = NOWHERE_FAR,
) -> list[Near]:
    """About the k nearest rows of `leaf` that pass, through the HNSW index whose predicate is `region`.

    It goes on until k rows have passed or each vector has met `most` rows, so it may return fewer than there are.

    Among vectors in clusters a walk may end in the wrong one, a local optimum of the greedy search, and find nothing
    of what it should. Its hits tell: the nearest lies beyond `far`, a cosine distance, farther than is to be expected.
    If so for any of the vectors, all is done again with the greatest effort there is.
    """
    near, farthest = _walk(cursor, leaf, vectors, k, where, params, region, ef, most)
    if len(near) == k and farthest > far and ef < MOST_EF:
        near, _ = _walk(cursor, leaf, vectors, k, where, params, region, MOST_EF, most)
    return near


def _walk(
    cursor: psycopg.Cursor[Any],
    leaf: str,
    vectors: NDArray[np.floating[Any]],
    k: int,
    where: str,
    params: Mapping[str, Any],
    region: str,
    ef: int,
    most: int,
) -> tuple[list[Near], float]:
    """The rows, and how near that of the vectors came which came least near: the others' hits hide that it is lost."""
    d = vectors.shape[1]
    inside = f"{region} AND {where}" if region else where
    each = (
        f"(SELECT {_FOUND}, {_distance(len(vectors))} AS distance, vector <=> %(q{i})s AS own, {i} AS walk FROM {leaf}"
        f" WHERE {inside} ORDER BY vector::halfvec({d}) <=> %(q{i})s LIMIT %(k)s)"
        for i in range(len(vectors))
    )
    statement = (
        f"WITH near AS MATERIALIZED ({' UNION ALL '.join(each)})"
        f" SELECT {_FOUND}, distance, (SELECT max(own) FROM (SELECT min(own) AS own FROM near GROUP BY walk) AS walks)"
        f" FROM near GROUP BY {_FOUND}, distance ORDER BY distance, drawing_id LIMIT %(k)s"
    )
    with walking(cursor.connection, ef=ef, most=most):
        cursor.execute(statement, {**params, **_named(vectors), "k": k}, prepare=True)
    rows = cursor.fetchall()
    return [Near._make(row[:-1]) for row in rows], rows[0][-1] if rows else 0.0


@contextmanager
def walking(connection: psycopg.Connection[Any], *, ef: int, most: int = 20_000) -> Iterator[None]:
    """Statements within ask a graph where there is one: sorting all rows would be the way without it.

    The settings travel with them, in a pipeline, and end with it: what is in one is a transaction, if none is open.
    """
    settings = {"enable_sort": "off", "hnsw.ef_search": str(ef), "hnsw.max_scan_tuples": str(max(most, ef))}
    configure = "SELECT " + ", ".join(f"set_config('{name}', %s, true)" for name in settings)
    with connection.pipeline(), connection.cursor() as settle:
        settle.execute(configure, list(settings.values()), prepare=True)
        yield
        settle.execute(configure, [None] * len(settings), prepare=True)


def _distance(number: int) -> str:
    each = [f"vector <=> %(q{i})s" for i in range(number)]
    return each[0] if number == 1 else f"least({', '.join(each)})"


def _named(vectors: NDArray[np.floating[Any]]) -> dict[str, HalfVector]:
    return {f"q{i}": HalfVector(vector) for i, vector in enumerate(vectors)}
