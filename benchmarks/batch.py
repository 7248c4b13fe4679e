"""How quickly a batch searches, beside single calls by the same patents on the same corpus.

    python -m benchmarks.batch [--rows 50000] [--patents 500] [--clients 8] [--workers 2]

The corpus of benchmarks.gateway, and its gateway with `--workers` processes. The same patents are searched by
`GET /search?patent=…&before=self&limit=20`, with records, by one client and by `--clients` at once, and then by a
`POST /search/batch` that one worker process works on. A batch's time is from the request to the job's end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from benchmarks import gateway
from benchmarks.search import postgres
from linework_local.redis import embedded_redis

OPTIONS = {"before": "self", "limit": "20"}


def patents_of(url: str, number: int) -> list[str]:
    """Some patents of all years, always the same."""
    with postgres.connect(url) as connection:
        some = "SELECT DISTINCT patent_id, md5(patent_id) FROM patents ORDER BY 2 LIMIT %s"
        return [name for name, _ in connection.execute(some, [number]).fetchall()]


@contextmanager
def worker(url: str, redis: str, folder: Path) -> Iterator[None]:
    environment = os.environ | {
        "DATABASE_URL": url, "REDIS_URL": redis, "EMBEDDER_URL": f"unix://{folder}/none.sock",
        "OBJECT_STORE_URL": (folder / "objects").as_uri(),
    }  # fmt: skip
    celery = [sys.executable, "-m", "celery", "-A", "linework_api.worker", "worker"]
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*celery, "-Q", "search", "-P", "threads", "-c", "1"], env=environment, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def batch(served: gateway.Served, patents: list[str]) -> dict[str, Any]:
    """Have a batch searched; its job, with the seconds from the request to its end."""
    address, key = served
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        began = time.perf_counter()
        job = client.post(f"/search/batch?{urlencode(OPTIONS)}", json={"patents": patents}).raise_for_status().json()
        while job["state"] in ("queued", "running"):
            time.sleep(0.02)
            job = client.get(f"/jobs/{job['id']}").json()
        seconds = time.perf_counter() - began
    if job["state"] != "succeeded" or job["progress"]["done"] != len(patents):
        raise RuntimeError(json.dumps(job))
    return {**job, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--patents", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="processes of the gateway")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lw-") as name, ExitStack() as stack:
        folder = Path(name)
        url, redis = stack.enter_context(postgres.server(folder)), stack.enter_context(embedded_redis(folder))
        gateway.load(url, options.rows)
        patents = patents_of(url, options.patents)
        asked = [{"patent": patent, **OPTIONS} for patent in patents]
        served = stack.enter_context(gateway.gateway(url, redis, folder, options.workers))
        one, many = (
            gateway.throughput(gateway._http_worker, served, asked, clients, len(asked))
            for clients in (1, options.clients)
        )
        stack.enter_context(worker(url, redis, folder))
        batch(served, patents[:20])  # the worker has started, and knows costs and statistics
        job = batch(served, patents)
    reached = len(patents) / job["seconds"]
    print(f"{options.rows:,} drawings, {len(patents)} patents\n")
    print("| | patents/s | the batch against it |\n|---|---|---|")
    print(f"| single calls, 1 client | {one:.1f} | {reached / one:.2f} |")
    print(f"| single calls, {options.clients} clients | {many:.1f} | {reached / many:.2f} |")
    print(f"| batch | {reached:.1f} | |")


if __name__ == "__main__":
    main()
