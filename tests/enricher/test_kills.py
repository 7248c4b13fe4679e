"""kill -9 of Redis, of Postgres and of all at once in mid-job: each drawing has its texts once, and nothing that was
answered is asked again.
"""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import NullPool, create_engine, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from linework_core import db
from linework_core.queues import nudge
from linework_core.tables import Job, LlmCall
from linework_local.account import tied
from linework_local.machine import Machine
from linework_local.postgres import Postgres
from linework_local.redis import Redis
from tests.configured import configured
from tests.enricher.corpus import add_design, counts, order, provider_of, read, sets
from tests.enricher.rig import KEY
from tests.enricher.stub import Stub
from tests.waiting import PATIENCE, until

DESIGNS = 40
IN_FLIGHT = 4


class Servers:
    """Postgres, Redis and an enrich worker, each of which can be killed."""

    def __init__(self, folder: Path) -> None:
        self.postgres = Postgres(data=folder / "pg", sockets=folder / "s")
        self.postgres.prepare(Machine.here())  # one that loses nothing …
        self.redis = Redis(data=folder, socket=folder / "redis.sock")
        self.worker_log = folder / "worker.log"
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        celery = ["celery", "-A", "linework_enricher.worker", "worker", "-Q", "enrich", "-P", "solo", "-n", "enrich@t"]
        commands = {
            "postgres": self.postgres.command,
            "redis": lambda: self.redis.command(throwaway=True),  # … and one that forgets everything
            "worker": lambda: tied([sys.executable, "-m", *celery]),
        }
        ready = {"postgres": self.postgres.wait_until_ready, "redis": self.redis.wait_until_ready}
        for name in names:
            with (self._folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(commands[name](), stdout=log, stderr=log, cwd="/")
            ready.get(name, lambda: None)()

    def kill(self, *names: str) -> None:
        for name in names:
            self._processes[name].send_signal(signal.SIGKILL)
        for name in names:
            self._processes.pop(name).wait(PATIENCE)

    def kill_all(self) -> None:
        self.kill(*self._processes)


@pytest.fixture(scope="module")
def servers(server_folder: Path) -> Iterator[Servers]:
    """A Postgres with a migrated database to be copied; the rest is started for each test."""
    folder = server_folder / "kills"
    folder.mkdir()
    made = Servers(folder)
    try:
        made.start("postgres")
        made.postgres.create_database()
        command.upgrade(db.alembic_config(made.postgres.url()), "head")
        yield made
    finally:
        made.kill_all()


@pytest.fixture
def installation(servers: Servers, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """All of them, on a database of this test's own."""
    name = f"test_{time.monotonic_ns()}"
    admin = create_engine(servers.postgres.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE linework"))
    environment = {
        "DATABASE_URL": servers.postgres.url(name),
        "REDIS_URL": servers.redis.url,
        "OBJECT_STORE_URL": tmp_path.as_uri(),
        "LEASE_SECONDS": "5",
        "LLM": provider_of(stub.url, concurrency=IN_FLIGHT, timeout_s=5),
        "LLM_API_KEY": KEY,
    }
    with configured(monkeypatch, environment):
        servers.start("redis", "worker")
        yield servers
        servers.kill("redis", "worker")


@pytest.fixture
def job_id(installation: Servers, stub: Stub) -> UUID:
    """A job that is a third of the way through its calls."""
    with db.transaction() as session:
        for number in range(DESIGNS):
            add_design(session, None, f"USD{number:07}", named=f"desk lamp of kind {number}", drawings=2)
    stub.latency = 0.2
    begun = order(db.get_engine())
    until(lambda: ended(begun) or len(stub.log) >= DESIGNS / 3)
    return begun


def ended(job_id: UUID) -> bool:
    """Whether the job has ended; if not it is told of again, as the beat does."""
    try:
        if read(db.get_engine(), job_id).state == "succeeded":
            return True
    except SQLAlchemyError:  # connections of before the kill
        return False
    nudge("enrich", job_id)
    return False


def check(job_id: UUID, stub: Stub, *, lost: int) -> None:
    """Every drawing has its texts once, and no more than `lost` calls were made again."""
    engine = db.get_engine()
    until(lambda: ended(job_id))
    job: Job = read(engine, job_id)
    assert counts(job) == (2 * DESIGNS, 2 * DESIGNS, 0, 0)
    everything = sets(engine, all_of_them=True)
    assert len(everything) == len({one.drawing_row for one in everything}) == 2 * DESIGNS
    asked = Counter(call.prompt for call in stub.log)
    assert len(asked) == DESIGNS
    assert asked.total() <= DESIGNS + lost
    assert stub.peak <= IN_FLIGHT
    with Session(engine) as session:
        calls = session.scalars(select(LlmCall)).all()
    assert len(calls) == DESIGNS
    assert all(call.answered_at and call.claimed_by is None for call in calls)


def test_redis_is_killed_and_forgets_everything(installation: Servers, job_id: UUID, stub: Stub) -> None:
    installation.kill("redis")
    time.sleep(1)
    installation.start("redis")
    check(job_id, stub, lost=0)  # the limits are kept, for all wait until nothing of before can count


def test_postgres_is_killed(installation: Servers, job_id: UUID, stub: Stub) -> None:
    installation.kill("postgres")
    time.sleep(1)
    installation.start("postgres")
    check(job_id, stub, lost=IN_FLIGHT)


def test_everything_is_killed_at_once(installation: Servers, job_id: UUID, stub: Stub) -> None:
    installation.kill("worker", "postgres", "redis")
    installation.start("postgres", "redis", "worker")
    check(job_id, stub, lost=IN_FLIGHT)
    assert KEY not in installation.worker_log.read_text()
