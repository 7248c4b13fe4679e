"""What the gateway adds to its own SQL, and how much of the raw SQL's throughput it reaches.

    python -m benchmarks.gateway [--rows 50000] [--requests 400] [--clients 8] [--workers 2]

A corpus of the search benchmark's recipe is loaded into a tuned Postgres, with patents and drawings. Requests are
`GET /search?drawing=…&before=…&limit=10`, with an API key whose requests and searches Redis counts, records written.
The SQL of each is caught while the service answers it in this process; then the same statements, with the same
parameters, are sent over bare psycopg connections, prepared, one by one or in a pipeline as the service does. Reported:
p50 and p95 of one client over HTTP and over SQL, in turns, and of what the gateway adds to each request; and requests
per second of `--clients` processes over HTTP and over SQL, all in one run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from http.client import HTTPConnection
from itertools import cycle, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import psycopg
from pgvector import HalfVector

from benchmarks.search import corpus as recipe
from benchmarks.search import postgres
from linework_api.keys import service as keys
from linework_api.keys.schemas import Grant
from linework_api.search.schemas import StoredQuery
from linework_api.search.service import SearchService
from linework_api.state import SearchResources
from linework_core import db, encoders, nearest, vector_costs
from linework_core.settings import Settings
from linework_core.tables import Encoder
from linework_local.redis import embedded_redis

Statement = tuple[Any, Any, bool]  # what is asked, its parameters, whether in a pipeline
Served = tuple[str, str]  # the gateway's address and a key
DIMENSION = 512

FILL = (
    "INSERT INTO jobs (id, kind, owner, state) VALUES (gen_random_uuid(), 'ingest', 'benchmark', 'succeeded')",
    """INSERT INTO patents (patent_id, office, number, title, granted, filed, priority, locarno, source, digest, job_id,
                             added_in)
       SELECT DISTINCT ON (patent_id) patent_id, office, substr(patent_id, 3), 'Design ' || patent_id, granted, filed,
              priority, locarno, 'uspto', patent_id, (SELECT id FROM jobs LIMIT 1), added_in
       FROM {leaf} ORDER BY patent_id, drawing_row""",
    """INSERT INTO sheets (sheet_id, patent_row, number, role, original, width, height)
       SELECT patent_id || '-S', row_id, 1, 'drawings', '0', 10, 10 FROM patents""",
    """INSERT INTO figures (patent_row, ordinal, number, label, caption, view, object)
       SELECT row_id, 1, '1', 'FIG. 1', 'FIG. 1 is a front view of a design', 'front view', 'design' FROM patents""",
    """INSERT INTO drawings (row_id, drawing_id, patent_row, sheet_row, figure_row, number, original, derivative, width,
                             height, patent_id, office, granted, filed, priority, locarno, view, added_in)
       OVERRIDING SYSTEM VALUE
       SELECT e.drawing_row, e.drawing_id, p.row_id, s.row_id, f.row_id, 1, '0', e.derivative, 10, 10, e.patent_id,
              e.office, e.granted, e.filed, e.priority, e.locarno, e.view, e.added_in
       FROM {leaf} e JOIN patents p USING (patent_id) JOIN sheets s ON s.patent_row = p.row_id
       JOIN figures f ON f.patent_row = p.row_id""",
    "VACUUM (ANALYZE)",
)


def load(url: str, rows: int) -> tuple[Encoder, list[str]]:
    """Fill the database, build the index, measure its costs; the encoder and some drawings to search by."""
    encoder = postgres.register(url, "benchmark", DIMENSION)
    postgres.copy(url, encoder, recipe.make(rows, DIMENSION, seed=1))
    leaf = encoders.partition(encoder)
    with postgres.connect(url) as connection:
        for statement in FILL:
            connection.execute(statement.format(leaf=leaf))
        chosen = connection.execute(f"SELECT drawing_id FROM {leaf} ORDER BY md5(drawing_id) LIMIT 200").fetchall()
    engine = db.make_engine(url)
    vector_costs.refresh(engine, encoder)
    with db.transaction(engine) as session:
        encoders.note_if_complete(session, encoder)
    return encoder, [name for (name,) in chosen]


def catch_sql(url: str, asked: list[dict[str, str]]) -> list[list[Statement]]:
    """The statements of each request, as the service sends them."""
    sent: list[Statement] = []
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        sent.append((query, params, bool(self.connection.pgconn.pipeline_status)))
        return execute(self, query, params, **options)

    engine = db.make_engine(url)
    resources = SearchResources(Settings(), engine, None, None, None)  # type: ignore[arg-type]
    caught = []
    for params in asked:
        with db.one_by_one(engine) as session:
            SearchService(session, resources, caller="warm").by_stored(StoredQuery(**params))  # type: ignore[arg-type]
        psycopg.Cursor.execute = noted  # type: ignore[method-assign]
        try:
            sent.clear()
            with db.one_by_one(engine) as session:
                SearchService(session, resources, caller="sql").by_stored(StoredQuery(**params))  # type: ignore[arg-type]
        finally:
            psycopg.Cursor.execute = execute  # type: ignore[method-assign]
        caught.append(list(sent))
    return caught


def sql_client(url: str) -> Callable[[list[Statement]], None]:
    connection = postgres.connect(url)
    db_settings(connection)

    def send(statements: list[Statement]) -> None:
        for pipelined, together in groupby(statements, key=itemgetter(2)):
            with connection.pipeline() if pipelined else nullcontext():
                cursors = [
                    connection.execute(query, with_own_id(params), prepare=True) for query, params, _ in together
                ]
            for cursor in cursors:
                if cursor.description:
                    cursor.fetchall()

    return send


def with_own_id(params: Any) -> Any:
    """A record has an id of its own."""
    return params | {"id": uuid.uuid4()} if isinstance(params, dict) and "took_ms" in params else params


def db_settings(connection: psycopg.Connection) -> None:
    """As the gateway's own connections are."""
    connection.adapters.register_dumper(HalfVector, nearest._HalfvecDumper)
    for name, value in nearest.SESSION.items():
        connection.execute(f"SET {name} = {value}")


def make_key(url: str) -> str:
    """A key whose requests are counted and never refused."""
    key = keys.new_key()
    grant = Grant(name="benchmark", scopes=["search"], rate_per_minute=10**6, searches_per_day=10**9)
    with db.transaction(db.make_engine(url)) as session:
        keys.add(session, grant, key, by="benchmark")
    return key


@contextmanager
def gateway(url: str, redis: str, folder: Path, workers: int) -> Iterator[Served]:
    environment = os.environ | {
        "DATABASE_URL": url, "REDIS_URL": redis, "EMBEDDER_URL": f"unix://{folder}/none.sock",
        "OBJECT_STORE_URL": (folder / "objects").as_uri(), "AUTH": "on", "LOG_LEVEL": "INFO",
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "--factory", "linework_api.app:create_app", "--port", "8765"]
    command += ["--http", "linework_core.guarded:GuardedProtocol", "--no-proxy-headers"]
    command += ["--workers", str(workers)]
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address, key = "http://127.0.0.1:8765", make_key(url)
    try:
        for _ in range(200):
            try:
                httpx.get(f"{address}/health/live")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address, key
    finally:
        process.terminate()
        process.wait(timeout=30)


def timed(ways: Sequence[Callable[[Any], Any]], items: Sequence[Sequence[Any]], requests: int) -> np.ndarray:
    """Milliseconds (requests, ways): each request is sent both ways in turns, for a machine's pace changes."""
    for item in items:
        for send, way in zip(ways, item, strict=True):
            send(way)
    times = np.zeros((requests, len(ways)))
    for row, item in enumerate(islice(cycle(items), requests)):
        for column, (send, way) in enumerate(zip(ways, item, strict=True)):
            began = time.perf_counter()
            send(way)
            times[row, column] = (time.perf_counter() - began) * 1000
    return times


def http_client(served: Served) -> Callable[[dict[str, str]], None]:
    """The standard library's client, for it shares the cores with what is measured, and httpx takes a millisecond."""
    address, key = served
    connection = HTTPConnection(address.removeprefix("http://"))

    def send(params: dict[str, str]) -> None:
        connection.request("GET", f"/search?{urlencode(params)}", headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {body[:200]!r}")

    return send


def _http_worker(served: Served, asked: list[dict[str, str]], requests: int, start: float) -> float:
    return _work(http_client(served), asked, requests, start)


def _sql_worker(url: str, caught: list[list[Statement]], requests: int, start: float) -> float:
    return _work(sql_client(url), caught, requests, start)


def _work(send: Callable[[Any], Any], items: list[Any], requests: int, start: float) -> float:
    """The moment at which so many requests were done, all clients having begun at `start`."""
    send(items[0])
    time.sleep(max(0, start - time.time()))
    for item in islice(cycle(items), requests):
        send(item)
    return time.time()


def throughput(worker: Callable[..., float], target: Any, items: list[Any], clients: int, requests: int) -> float:
    """Requests per second of all clients together."""
    with ProcessPoolExecutor(clients) as pool:
        start = time.time() + 5
        share = requests // clients
        done = [pool.submit(worker, target, items[n::clients] or items, share, start) for n in range(clients)]
        ended = max(one.result() for one in done)
    return share * clients / (ended - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2, help="processes of the gateway")
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lw-") as name, ExitStack() as stack:
        folder = Path(name)
        url, redis = stack.enter_context(postgres.server(folder)), stack.enter_context(embedded_redis(folder))
        _, drawings = load(url, options.rows)
        cuts = ("2004-01-06", "2010-01-05", "2016-01-05", "2030-01-01")
        pairs = zip(drawings[:100], cycle(cuts), strict=False)
        asked = [{"drawing": drawing, "before": cut, "limit": "10"} for drawing, cut in pairs]
        caught = catch_sql(url, asked)
        served = stack.enter_context(gateway(url, redis, folder, options.workers))
        ways = sql_client(url), http_client(served)
        times = timed(ways, list(zip(caught, asked, strict=True)), options.requests)
        raw = throughput(_sql_worker, url, caught, options.clients, 4 * options.requests)
        reached = throughput(_http_worker, served, asked, options.clients, 4 * options.requests)
    statements = statistics.mean(len(one) for one in caught)
    print(f"{options.rows:,} drawings, {statements:.1f} statements a request\n")
    print(f"| | p50 ms | p95 ms | requests/s, {options.clients} clients |\n|---|---|---|---|")
    sql, http = np.percentile(times, [50, 95], axis=0).T
    added = np.percentile(times[:, 1] - times[:, 0], [50, 95])
    print(f"| the SQL alone | {sql[0]:.1f} | {sql[1]:.1f} | {raw:.0f} |")
    print(f"| through the gateway | {http[0]:.1f} | {http[1]:.1f} | {reached:.0f} |")
    print(f"| added to each request, share | {added[0]:+.1f} | {added[1]:+.1f} | {reached / raw:.0%} |")


if __name__ == "__main__":
    main()
