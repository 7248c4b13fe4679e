"""The supervised servers, with small stand-ins for the services."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from redis import Redis as Client

from linework_local.account import tied
from linework_local.home import Home
from linework_local.machine import Machine
from linework_local.postgres import Postgres
from linework_local.redis import Redis
from linework_local.supervision import Program, Supervisor, configuration
from tests.waiting import until

from .command_line import processes_that_name

SLEEPER = [sys.executable, "-c", "import time; print('I live', flush=True); time.sleep(600)"]


class Supervised:
    """Postgres, Redis and a process that sleeps, under a supervisor of their own."""

    def __init__(self, folder: Path) -> None:
        self.home = Home.at(folder)
        self.home.create()
        self.postgres = Postgres(self.home.postgres_data, self.home.postgres_socket_folder)
        self.postgres.prepare(Machine.here())
        self.redis = Redis(self.home.redis_data, self.home.redis_socket)
        self.supervisor = Supervisor(self.home)

    def start(self) -> None:
        programs = [
            Program("postgres", self.postgres.command(), early=True, stop_signal="INT"),
            Program("redis", self.redis.command(), early=True),
            Program("sleeper", tied(SLEEPER)),
        ]
        self.home.supervisor_conf.write_text(configuration(self.home, programs, "-"))
        self.supervisor.start(os.environ)
        self.postgres.wait_until_ready()
        self.postgres.create_database()
        self.redis.wait_until_ready()
        self.supervisor.start_programs()
        eventually(lambda: set(self.states().values()) == {"RUNNING"})

    def states(self) -> dict[str, str]:
        return {process.name: process.state for process in self.supervisor.processes()}

    def pids(self) -> dict[str, int | None]:
        return {process.name: process.pid for process in self.supervisor.processes()}

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.postgres.url().replace("+psycopg", "")) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


eventually = partial(until, pause=0.1, despite=(OSError, psycopg.OperationalError))


@pytest.fixture(scope="module")
def stack(server_folder: Path) -> Iterator[Supervised]:
    stack = Supervised(server_folder / "supervised")
    stack.start()
    yield stack
    if stack.supervisor.running:
        stack.supervisor.stop()


@pytest.mark.parametrize("name", ["sleeper", "redis", "postgres"])
def test_a_killed_process_comes_back_with_its_data(stack: Supervised, name: str) -> None:
    stack.sql("CREATE TABLE IF NOT EXISTS kept (at timestamptz DEFAULT now()); INSERT INTO kept DEFAULT VALUES")
    rows = stack.sql("SELECT * FROM kept")
    with Client.from_url(stack.redis.url) as client:
        client.set("kept", name)
    time.sleep(1.1)  # Redis writes its file once a second

    killed = stack.pids()[name]
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    eventually(lambda: stack.states()[name] == "RUNNING" and stack.pids()[name] not in (None, killed))
    stack.postgres.wait_until_ready()
    stack.redis.wait_until_ready()
    assert stack.sql("SELECT * FROM kept") == rows
    with Client.from_url(stack.redis.url) as client:
        assert client.get("kept") == name.encode()


def test_no_server_listens_on_tcp(stack: Supervised) -> None:
    assert stack.sql("SHOW listen_addresses") == [("",)]
    with Client.from_url(stack.redis.url) as client:
        assert client.config_get("port") == {"port": "0"}


def test_postgres_runs_with_pgvector_and_as_no_root(stack: Supervised) -> None:
    assert stack.sql("SELECT extname FROM pg_extension WHERE extname = 'vector'")
    postgres = stack.pids()["postgres"]
    assert Path(f"/proc/{postgres}").stat().st_uid != 0


def test_a_second_stack_runs_beside_the_first(stack: Supervised, server_folder: Path) -> None:
    second = Supervised(server_folder / "second")
    second.start()
    second.sql("CREATE TABLE mine ()")
    assert stack.sql("SELECT to_regclass('mine')") == [(None,)]
    second.supervisor.stop()
    eventually(lambda: not processes_that_name(str(second.home.root)))
    assert set(stack.states().values()) == {"RUNNING"}


def test_when_the_supervisor_is_killed_nothing_is_orphaned_and_it_starts_again(stack: Supervised) -> None:
    os.kill(int(stack.home.supervisor_pid.read_text()), signal.SIGKILL)
    eventually(lambda: not processes_that_name(str(stack.home.root)))
    assert not stack.supervisor.running

    stack.start()
    assert set(stack.states().values()) == {"RUNNING"}


def test_stopping_leaves_no_process_and_no_socket(stack: Supervised) -> None:
    stack.supervisor.stop()
    stack.home.remove_run()
    eventually(lambda: not processes_that_name(str(stack.home.root)))
    assert list(stack.home.run.iterdir()) == []
    assert not (stack.home.postgres_data / "postmaster.pid").exists()
