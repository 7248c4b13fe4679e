"""The same searches on a primary that is written to and on a replica, and how far the replica is behind."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from benchmarks.scaling import servers
from benchmarks.search import cells, corpus, postgres
from benchmarks.search.cells import Cell
from benchmarks.search.corpus import Corpus
from benchmarks.search.measure import scope_of
from linework_api.search import ranking
from linework_api.search.schemas import Mode
from linework_core import db, encoders, nearest, vector_costs
from linework_core.tables import Encoder

BATCH = 112  # drawings of a transaction: 16 patents of seven, as ingest writes them
QUERIES = 30
SECONDS = 15.0  # that are written and listened to
PACES = {"flat out": 0.0, "as ingest writes": 0.5}  # seconds between transactions
SHARES = (0.01, 0.2, 0.9)


def measure(folder: Path, whole: Corpus) -> dict[str, Any]:
    """A tenth of the rows is written while searches run, a streaming standby first, then a logical subscriber."""
    primary, replica = servers.server(folder, "primary"), servers.server(folder, "replica")
    with servers.running(primary) as url:
        servers.migrate(primary)
        encoder = postgres.register(url, "replicas", whole.vectors.shape[1])
        postgres.copy(url, encoder, whole)
        vector_costs.refresh(db.make_engine(url), encoder)
        backup = servers.base_backup(primary, replica)
        with servers.running(replica) as copy:
            streaming = {pace: _compare(url, copy, encoder, whole, PACES[pace]) for pace in PACES}
        conversion = servers.make_subscriber(primary, replica)
        with servers.running(replica) as copy:
            _wait_until_equal(url, copy)
            logical = {pace: _compare(url, copy, encoder, whole, PACES[pace]) for pace in PACES}
    told = {"streaming": streaming, "logical": logical}
    return {"rows": len(whole), "base_backup_s": round(backup, 1), "to_subscriber_s": round(conversion, 1), **told}


def _wait_until_equal(url: str, copy: str) -> None:
    deadline = time.monotonic() + 60
    while servers.snapshot(url) != servers.snapshot(copy):
        if time.monotonic() > deadline:
            raise RuntimeError("the replica does not catch up")
        time.sleep(0.1)


@dataclass
class Times:
    """When snapshots could first be seen."""

    seen: dict[int, float] = field(default_factory=dict)


def _compare(url: str, copy: str, encoder: Encoder, whole: Corpus, pause: float) -> dict[str, Any]:
    written, there = Times(), Times()
    with _writing(url, encoder, whole, written, pause), _listening(copy, there):
        began = time.monotonic()
        same = {mode: _same(url, copy, encoder, whole, mode) for mode in ("exact", "auto")}
        time.sleep(max(0.0, SECONDS - (time.monotonic() - began)))
    _wait_until_equal(url, copy)
    lags = [1_000 * (there.seen[number] - at) for number, at in written.seen.items() if number in there.seen]
    p50, p95, most = np.quantile(lags, (0.5, 0.95, 1.0))
    took = max(written.seen.values()) - min(written.seen.values())
    return {
        "written_rows_a_second": round(BATCH * (len(written.seen) - 1) / took), "transactions": len(written.seen),
        "lag_ms": {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "most": round(float(most), 1)},
        "answers": same,
    }  # fmt: skip


def _same(url: str, copy: str, encoder: Encoder, whole: Corpus, mode: Mode) -> dict[str, Any]:
    """Of searches on both servers at the replica's snapshot: how many answers are alike, hit by hit."""
    alike, number, by_index = 0, 0, 0
    asked = [cell for cell in cells.cells(whole, QUERIES, "none") if cell.share in SHARES]
    times: dict[str, list[float]] = {"primary": [], "replica": []}
    engines = {"primary": create_engine(url), "replica": create_engine(copy)}
    for engine in engines.values():
        nearest.tune(engine)
    for cell in asked:
        for vector in cell.queries:
            snapshot = servers.snapshot(copy)
            found = {}
            for name, engine in engines.items():
                started = time.perf_counter()
                found[name], exact = _search(engine, encoder, cell, vector, snapshot, mode)
                times[name].append(1_000 * (time.perf_counter() - started))
            number += 1
            by_index += not exact
            alike += found["primary"] == found["replica"]
    for engine in engines.values():
        engine.dispose()
    p50 = {name: round(float(np.median(values)), 2) for name, values in times.items()}
    return {"searches": number, "by_index": by_index, "alike": alike, "p50_ms": p50}


def _search(
    engine: Engine, encoder: Encoder, cell: Cell, vector: Any, snapshot: int, mode: Mode
) -> tuple[list[tuple[int, float]], bool]:
    scope = replace(scope_of(cell), snapshot=snapshot)
    with Session(engine) as session:
        ranked = ranking.rank(session, encoder, vector[None], scope, 10, mode=mode)
    return [(hit.drawing_row, round(hit.score, 5)) for hit in ranked.found], ranked.exact


@contextmanager
def _writing(url: str, encoder: Encoder, whole: Corpus, times: Times, pause: float) -> Iterator[None]:
    """Adds rows like those there are, a transaction and a snapshot for each BATCH of them, until the context ends."""
    ended = threading.Event()
    more = corpus.make(20_000, whole.vectors.shape[1], seed=7)

    def write() -> None:
        with postgres.connect(url) as connection:
            last = connection.execute(f"SELECT max(drawing_row) FROM {encoders.partition(encoder)}").fetchone()
            row, start = int(last[0]) if last else 0, 0
            while not ended.wait(pause):
                snapshot = _add(connection, encoder, more, start, row)
                times.seen[snapshot] = time.perf_counter()
                row, start = row + BATCH, start + BATCH

    with _meanwhile(write, ended):
        yield


def _add(connection: psycopg.Connection, encoder: Encoder, more: Corpus, start: int, row: int) -> int:
    """One transaction of BATCH drawings, as the next snapshot."""
    with connection.transaction():
        found = connection.execute("UPDATE corpus SET snapshot = snapshot + 1 RETURNING snapshot").fetchone()
        assert found is not None
        places = ((start + offset) % len(more) for offset in range(BATCH))
        rows = (postgres.row_of(encoder, more, at, row + n, found[0]) for n, at in enumerate(places, start=1))
        postgres.write(connection, encoder, rows)
    return int(found[0])


@contextmanager
def _meanwhile(work: Callable[[], None], ended: threading.Event) -> Iterator[None]:
    """Runs `work` in a thread until the context ends; `ended` tells it."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _listening(copy: str, times: Times) -> Iterator[None]:
    ended = threading.Event()

    def listen() -> None:
        with postgres.connect(copy) as connection:
            known = 0
            while not ended.is_set():
                found = connection.execute("SELECT snapshot FROM corpus").fetchone()
                now, snapshot = time.perf_counter(), int(found[0]) if found else 0
                for number in range(known + 1, snapshot + 1):
                    times.seen.setdefault(number, now)
                known = snapshot
                time.sleep(0.001)

    with _meanwhile(listen, ended):
        yield
