"""How fast the enricher keeps a model's server busy, and whether its memory stays flat.

    python -m benchmarks.enrich throughput [--calls 1500] [--concurrency 16] [--latency 0.2]
    python -m benchmarks.enrich memory [--drawings 100000] [--provider template|openai]

Jobs run as a worker runs them, in this process, on a Postgres that syncs to disk and a Redis of their own; the model is
the tests' stub, in a process of its own. `throughput`: each drawing is a design of its own and takes a call. The same
bodies are then sent by a bare client with the same concurrency, which tells what the stub itself allows. `memory`:
seven drawings a design, which share their call; the resident memory of this process while the job runs.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import Engine, select

from benchmarks.search import postgres
from linework_core import db
from linework_core.settings import get_settings
from linework_core.tables import Drawing
from linework_enricher import facts
from linework_enricher.chat import Dialect
from linework_enricher.pipeline import describe_request
from linework_enricher.recipe import Order
from linework_local.redis import embedded_redis
from tests.enricher.corpus import order, provider_of, read, run

MB = 1 << 20
FILL = (
    "INSERT INTO jobs (id, kind, owner, state) VALUES (gen_random_uuid(), 'ingest', 'benchmark', 'succeeded')",
    """INSERT INTO patents (patent_id, office, number, title, claim, granted, locarno, source, digest, job_id, added_in)
       SELECT 'USD' || to_char(n, 'FM0000000'), 'US', 'D' || n, 'Desk lamp of kind ' || n,
              'The ornamental design for a desk lamp, as shown and described.', '2020-01-07', '26-05', 'uspto', n,
              (SELECT id FROM jobs), 1
       FROM generate_series(1, {designs}) n""",
    """INSERT INTO sheets (sheet_id, patent_row, number, role, original, width, height)
       SELECT patent_id || '-S', row_id, 1, 'drawings', '0', 10, 10 FROM patents""",
    """INSERT INTO figures (patent_row, ordinal, number, label, caption, view, object)
       SELECT row_id, n, n, 'FIG. ' || n, 'FIG. ' || n || ' is a ' || view || ' of the ' || lower(title), view,
              lower(title)
       FROM patents, unnest(ARRAY['perspective view', 'front elevational view', 'rear elevational view',
            'left side view', 'right side view', 'top plan view', 'bottom plan view']) WITH ORDINALITY v(view, n)
       WHERE n <= {views} ORDER BY row_id, n""",
    """INSERT INTO drawings (drawing_id, patent_row, sheet_row, figure_row, number, original, derivative, width, height,
                             patent_id, office, granted, locarno, view, added_in)
       SELECT s.sheet_id || '_' || f.ordinal, p.row_id, s.row_id, f.row_id, f.ordinal, '0', md5(f.row_id::text), 10, 10,
              p.patent_id, p.office, p.granted, p.locarno, f.view, 1
       FROM figures f JOIN patents p ON p.row_id = f.patent_row JOIN sheets s ON s.patent_row = p.row_id
       ORDER BY f.row_id""",
    "UPDATE corpus SET snapshot = 1",
    "VACUUM (ANALYZE)",
)


@contextmanager
def services(designs: int, views: int, *, latency: float, concurrency: int) -> Iterator[str]:
    """Servers, a corpus, and the settings of a worker in the environment; the stub's URL."""
    with tempfile.TemporaryDirectory(prefix="linework-enrich-") as name:
        folder = Path(name)
        with postgres.server(folder) as url, embedded_redis(folder) as redis_url, stub(folder, latency) as stub_url:
            with postgres.connect(url) as connection:
                for statement in FILL:
                    connection.execute(statement.format(designs=designs, views=views))
            os.environ |= {
                "DATABASE_URL": url,
                "REDIS_URL": redis_url,
                "OBJECT_STORE_URL": (folder / "objects").as_uri(),
                "LLM": provider_of(stub_url, concurrency=concurrency),
                "LOG_LEVEL": "WARNING",
            }
            yield stub_url
            db.get_engine().dispose()


@contextmanager
def stub(folder: Path, latency: float) -> Iterator[str]:
    """The tests' model server on a port of its own."""
    port = 20_000 + os.getpid() % 20_000
    command = [sys.executable, "-m", "tests.enricher.stub", "--port", str(port), "--latency", str(latency)]
    with (folder / "stub.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/log").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def bodies(engine: Engine, most: int) -> list[bytes]:
    """What the job would send about the first drawings."""
    asked = Order.read({"provider": "openai", "count": 20}, get_settings())
    with db.transaction(engine) as session:
        rows = session.scalars(select(Drawing.row_id).order_by(Drawing.row_id).limit(most)).all()
        return [
            Dialect().body(describe_request(asked.recipe, one, None), "stub-1") for one in facts.load(session, rows)
        ]


async def bare(url: str, sent: list[bytes], concurrency: int) -> float:
    """Calls a second of a client that does nothing else."""
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        left = iter(sent)

        async def work() -> None:
            for body in left:
                await client.post(f"{url}/chat/completions", content=body)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return len(sent) / (time.perf_counter() - began)


def describe(engine: Engine, provider: str) -> tuple[Any, float, float]:
    """The job, its seconds on the clock and on this process' CPU."""
    job_id = order(engine, provider, count=20)
    began, cpu = time.perf_counter(), time.process_time()
    job = run(engine, job_id)
    return job, time.perf_counter() - began, time.process_time() - cpu


def throughput(options: argparse.Namespace) -> None:
    told = options.concurrency, options.latency
    with services(options.calls, 1, latency=options.latency, concurrency=options.concurrency) as url:
        engine = db.get_engine()
        job, seconds, cpu = describe(engine, "openai")
        log = httpx.get(url.removesuffix("/v1") + "/log").json()
        assert job.state == "succeeded", job.error
        assert log["calls"] == log["distinct"] == job.result["calls"] == job.result["described"] == options.calls
        calling = max(log["ended"]) - min(log["started"])
        allowed = asyncio.run(bare(url, bodies(engine, options.calls // 3), options.concurrency))
    print(f"{told[0]} calls in flight, each of {1000 * told[1]:.0f} ms: at most {told[0] / told[1]:.1f} calls/s")
    print(f"a bare client        {allowed:6.1f} calls/s")
    print(f"the job, calling     {options.calls / calling:6.1f} calls/s   most in flight {log['peak']}")
    print(
        f"the job as a whole   {options.calls / seconds:6.1f} calls/s   {1000 * cpu / options.calls:.1f} ms CPU a call"
    )


class Memory:
    """Resident memory of this process, every half second, by how far a job has come."""

    def __init__(self, engine: Engine, job_id: Any) -> None:
        self.samples: list[tuple[int, int]] = []
        self._engine = engine
        self._job_id = job_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._ended.wait(0.5):
            self.samples.append((read(self._engine, self._job_id).done, process.memory_info().rss))

    def at(self, done: int) -> float:
        """MB once so many drawings were done."""
        return next((memory for reached, memory in self.samples if reached >= done), self.samples[-1][1]) / MB


def memory(options: argparse.Namespace) -> None:
    with services(-(-options.drawings // 7), 7, latency=0.0, concurrency=16):
        engine = db.get_engine()
        before = psutil.Process().memory_info().rss / MB
        job_id = order(engine, options.provider, count=20)
        began = time.perf_counter()
        with Memory(engine, job_id) as watched:
            job = run(engine, job_id)
        seconds = time.perf_counter() - began
        assert (job.state, job.failed) == ("succeeded", 0), job.error
    told = "  ".join(f"{share} %: {watched.at(job.done * share // 100):.0f} MB" for share in (1, 10, 25, 50, 75, 100))
    print(f"{options.provider}: {job.done} drawings, {job.result['calls']} calls, {job.done / seconds:.0f} drawings/s")
    print(f"before: {before:.0f} MB  {told}  most: {max(memory for _, memory in watched.samples) / MB:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    fast = commands.add_parser("throughput")
    fast.add_argument("--calls", type=int, default=1500)
    fast.add_argument("--concurrency", type=int, default=16)
    fast.add_argument("--latency", type=float, default=0.2)
    fast.set_defaults(run=throughput)
    flat = commands.add_parser("memory")
    flat.add_argument("--drawings", type=int, default=100_000)
    flat.add_argument("--provider", choices=["template", "openai"], default="template")
    flat.set_defaults(run=memory)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
