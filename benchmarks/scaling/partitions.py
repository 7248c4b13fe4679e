"""Vectors in partitions by date, each with a graph of its own, against one table with one graph."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks.scaling import servers
from benchmarks.search import cells, postgres
from benchmarks.search.cells import Cell
from benchmarks.search.corpus import Corpus, week_of
from benchmarks.search.measure import scope_of
from linework_core import encoders, nearest, vector_index
from linework_core.tables import Encoder

PARTS = 8
EFS = (40, 100, 200)
K = 10
QUERIES = 100
NO_END = 10**9  # rows that a walk may meet before K have passed


def measure(folder: Path, corpus: Corpus) -> dict[str, Any]:
    one = servers.server(folder, "one")
    with servers.running(one) as url:
        servers.migrate(one)
        encoder = postgres.register(url, "partitions", corpus.vectors.shape[1])
        postgres.copy(url, encoder, corpus)
        with postgres.connect(url) as connection:
            seconds = {
                "one graph": _one(connection, encoder),
                f"{PARTS} partitions": _split(connection, encoder, corpus),
            }
        engine = create_engine(url)
        nearest.tune(engine)
        with Session(engine) as session:
            found = [_cell(session, cell) for cell in cells.cells(corpus, QUERIES, "none")]
            plan = _plan(session, corpus)
        engine.dispose()
    return {
        "rows": len(corpus),
        "partitions": PARTS,
        "k": K,
        "queries": QUERIES,
        "build_s": seconds,
        "cells": found,
        "plan": plan,
    }


def _graph(table: str, dimension: int) -> str:
    options = f"m = {vector_index.M}, ef_construction = {vector_index.EF_CONSTRUCTION}"
    return f"CREATE INDEX ON {table} USING hnsw ((vector::halfvec({dimension})) halfvec_cosine_ops) WITH ({options})"


def _one(connection: psycopg.Connection, encoder: Encoder) -> float:
    """A table as it comes: one graph, no others."""
    connection.execute(f"CREATE TABLE whole (LIKE {encoders.partition(encoder)} INCLUDING STORAGE)")
    connection.execute(f"INSERT INTO whole SELECT * FROM {encoders.partition(encoder)}")
    return _timed(lambda: connection.execute(_graph("whole", encoder.dimension)))


def _split(connection: psycopg.Connection, encoder: Encoder, corpus: Corpus) -> float:
    """The same rows in partitions of about as many rows each, by the date of grant."""
    leaf = encoders.partition(encoder)
    connection.execute(f"CREATE TABLE parts (LIKE {leaf} INCLUDING STORAGE) PARTITION BY RANGE (granted)")
    days = [week_of(corpus.cut(number / PARTS)) for number in range(1, PARTS)]
    bounds = ["MINVALUE", *(f"'{day}'" for day in days), "MAXVALUE"]
    for number, (low, high) in enumerate(pairwise(bounds)):
        connection.execute(f"CREATE TABLE part_{number} PARTITION OF parts FOR VALUES FROM ({low}) TO ({high})")
    connection.execute(f"INSERT INTO parts SELECT * FROM {leaf}")
    tables = [f"part_{number}" for number in range(PARTS)]
    seconds = _timed(lambda: [connection.execute(_graph(table, encoder.dimension)) for table in tables])
    connection.execute("ANALYZE parts")
    connection.execute("ANALYZE whole")
    return seconds


def _timed(act: Callable[[], Any]) -> float:
    started = time.monotonic()
    act()
    return round(time.monotonic() - started, 1)


def _cell(session: Session, cell: Cell) -> dict[str, Any]:
    """Recall and p50 of both at each ef."""
    cursor, scope = nearest.cursor(session.connection()), scope_of(cell)

    def walk(table: str, ef: int, vector: Any) -> list[int]:
        found = nearest.walk(cursor, table, vector[None], K, scope.sql(table), scope.params(), ef=ef, most=NO_END)
        return [one.drawing_row - 1 for one in found]

    told: dict[str, Any] = {"share": cell.share, "passing": cell.passing}
    for table, name in (("whole", "one graph"), ("parts", "partitions")):
        told[name] = {ef: _told(cell, partial(walk, table, ef)) for ef in EFS}
    return told


def _told(cell: Cell, search: Callable[[Any], Sequence[int]]) -> dict[str, float]:
    for vector in cell.queries[:10]:
        search(vector)
    times, recalls = [], []
    for number, vector in enumerate(cell.queries):
        started = time.perf_counter()
        rows = search(vector)
        times.append(1_000 * (time.perf_counter() - started))
        recalls.append(cell.recall(number, np.asarray(rows, int), K))
    p50, p95 = np.quantile(times, (0.5, 0.95))
    return {"recall": round(float(np.mean(recalls)), 3), "p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _plan(session: Session, corpus: Corpus) -> list[str]:
    """What Postgres does with a cut in the middle."""
    cursor = session.connection().connection.driver_connection.cursor()  # type: ignore[union-attr]
    d = corpus.vectors.shape[1]
    vector = "[" + ",".join(f"{value:.4f}" for value in corpus.vectors[0]) + "]"
    with nearest.walking(cursor.connection, ef=100, most=NO_END):
        rows = cursor.execute(
            f"EXPLAIN (COSTS OFF) SELECT drawing_row FROM parts WHERE granted < '{week_of(corpus.cut(0.5))}'"
            f" ORDER BY vector::halfvec({d}) <=> '{vector}' LIMIT {K}"
        ).fetchall()
    return [row[0].replace(vector, "…")[:100] for row in rows]
