"""kill -9 of every process in turn, Postgres and Redis included, in a loop during an ingest.

    python -m benchmarks.kills [--designs 2000] [--size 0.25] [--pause 5] [--seed 1]

The sample office's packages, and a damaged one, are ingested and embedded twice, each time by a whole installation with
an empty database: once undisturbed, once with a process killed every `--pause` seconds (half to one and a half times
that) and started again. Then all rows of both are compared by what they say (numbers of rows, snapshots, jobs and times
left out), and the names of all objects. The status is 1 where anything differs.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from alembic import command
from sqlalchemy import create_engine, text

from linework_core.db import alembic_config
from linework_local.machine import Machine
from linework_local.postgres import Postgres
from linework_office import publish
from tests.contents import Contents, contents
from tests.stack.conftest import Stack

VICTIMS = ("ingest", "postgres", "embed", "redis", "api", "beat", "embedder")
SECONDS = 3600  # that one run may take


@contextmanager
def installation(folder: Path) -> Iterator[Stack]:
    """Every process, with a Postgres that keeps what it has committed."""
    folder.mkdir()
    postgres = Postgres(data=folder / "pg", sockets=folder / "s")
    postgres.prepare(Machine.here())
    stack = Stack(folder, postgres.url(), postgres=postgres)
    try:
        stack.start("postgres", "redis")
        postgres.create_database()
        command.upgrade(alembic_config(postgres.url()), "head")
        stack.start(*(name for name in VICTIMS if name not in stack.processes))
        stack.wait_until_ready()
        yield stack
    finally:
        stack.stop()


def ended(stack: Stack, job_id: str) -> bool:
    """Whether nothing is left to do. An installation that does not answer has not ended."""
    try:
        undone = [stack.client.get("/jobs", params={"state": state}).json()["jobs"] for state in ("queued", "running")]
        indexes = stack.corpus()["indexes"]
        done = stack.job(job_id)["state"] not in ("queued", "running")
        return done and not any(undone) and all(one["indexed"] == one["drawings"] for one in indexes)
    except (httpx.HTTPError, KeyError):
        return False


def load(stack: Stack, inbox: Path, pause: float, seed: int) -> tuple[dict[str, Any], float, Counter[str]]:
    """Ingest and embed, killing on the way unless `pause` is 0: the job, the seconds it took, and who was killed."""
    job_id, began, killed = stack.ingest(inbox), time.monotonic(), Counter[str]()
    dice, victims = random.Random(seed), cycle(VICTIMS)
    while not ended(stack, job_id):
        if time.monotonic() - began > SECONDS:
            raise RuntimeError(f"It has not ended within {SECONDS} s: {stack.job(job_id)}")
        time.sleep(pause * dice.uniform(0.5, 1.5) if pause else 0.5)
        if pause:
            victim = next(victims)
            stack.kill(victim)
            time.sleep(dice.uniform(0, 1))
            stack.start(victim)
            killed[victim] += 1
    return stack.job(job_id), time.monotonic() - began, killed


def found_in(stack: Stack) -> Contents:
    """Everything that the installation holds. Raises RuntimeError where a snapshot's number was lost."""
    engine = create_engine(stack.environment["DATABASE_URL"])
    with engine.connect() as connection:
        changes = "SELECT added_in FROM drawings UNION SELECT added_in FROM embeddings"
        lost = connection.scalar(text(f"SELECT snapshot - (SELECT count(*) FROM ({changes})) FROM corpus"))
    if lost:
        raise RuntimeError(f"{lost} snapshots without a change")
    found = contents(engine, Path(stack.environment["OBJECT_STORE_URL"].removeprefix("file://")))
    engine.dispose()
    return found


def packages(folder: Path, designs: int, size: float) -> Path:
    """Weekly tars, and one that ends within its first package."""
    tars = publish(folder, designs=designs, seed=3, size=size, workers=2)
    (folder / "broken.tar").write_bytes(tars[0].read_bytes()[:4096])
    return folder


def run(folder: Path, inbox: Path, pause: float, seed: int) -> tuple[dict[str, Any], Contents]:
    """One installation from the first package to the last vector."""
    with installation(folder) as stack:
        there = Path(shutil.copytree(inbox, folder / "inbox", copy_function=os.link))
        job, seconds, killed = load(stack, there, pause, seed)
        told = ", ".join(f"{name} {count}" for name, count in killed.items()) or "nobody"
        print(f"{seconds:.0f} s; killed {killed.total()} times: {told}; {job['state']} {job['progress']}", flush=True)
        return job, found_in(stack)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=2000)
    parser.add_argument("--size", type=float, default=0.25, help="share of the full page size")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds from one kill to the next, on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lw-") as name:
        inbox = packages(Path(name) / "packages", options.designs, options.size)
        job, expected = run(Path(name) / "calm", inbox, 0, options.seed)
        again, found = run(Path(name) / "kills", inbox, options.pause, options.seed)
    same = {table: expected[table] == found[table] for table in expected}
    for table, equal in same.items():
        differing = (Counter(expected[table]) - Counter(found[table])).total()
        print(f"{table}: {len(found[table]):,} rows, {'equal' if equal else f'DIFFERENT: {differing:,} missing'}")
    told = ("state", "progress", "result")
    print("job:", "equal" if all(job[part] == again[part] for part in told) else f"DIFFERENT: {job} {again}")
    return 0 if all(same.values()) and all(job[part] == again[part] for part in told) else 1


if __name__ == "__main__":
    sys.exit(main())
