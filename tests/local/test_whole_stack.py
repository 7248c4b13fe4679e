"""The command line on a whole stack: every process, the demo, a second stack beside it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from linework_local.home import Home
from linework_local.supervision import Supervisor
from tests.waiting import PATIENCE, until

from .command_line import linework, open_to_others, processes_that_name

PROCESSES = {"postgres", "redis", "embedder", "api", "ingest", "embed", "enrich", "trainer", "beat"}


@dataclass
class Running:
    home: Path
    port: int

    def run(self, *arguments: str) -> str:
        done = linework(*arguments, home=self.home, port=self.port)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, **query: str) -> Any:
        return (
            httpx.get(f"http://127.0.0.1:{self.port}{path}", params=query, timeout=PATIENCE).raise_for_status().json()
        )

    def pids(self) -> dict[str, int | None]:
        return {process.name: process.pid for process in Supervisor(Home.at(self.home)).processes()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


eventually = partial(until, pause=0.2, despite=(httpx.HTTPError,))


@pytest.fixture(scope="module")
def stack(server_folder: Path) -> Iterator[Running]:
    running = Running(server_folder / "first", free_port())
    try:
        running.run("up")
        yield running
    finally:
        running.run("down")


def test_up_prints_the_address_and_again_changes_nothing(stack: Running) -> None:
    before = stack.pids()
    assert f"http://127.0.0.1:{stack.port}" in stack.run("up")
    assert stack.pids() == before
    assert set(before) == PROCESSES
    assert None not in before.values()


def test_status_shows_every_process(stack: Running) -> None:
    status = stack.run("status")
    assert "Ready" in status
    for name in PROCESSES:
        assert re.search(rf"{name} +│ (RUNNING|STARTING)", status)


def test_the_smoke_test_passes(stack: Running) -> None:
    smoke = Path(__file__).parents[2] / "deploy/smoke/smoke.py"
    environment = {**os.environ, "BASE_URL": f"http://127.0.0.1:{stack.port}", "RESTART": "true", "SERVICES": "api"}
    done = subprocess.run([sys.executable, smoke], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 found" in done.stdout
    assert "All of it works" in done.stdout


def test_a_killed_gateway_is_ready_again_by_itself(stack: Running) -> None:
    gateway = stack.pids()["api"]
    assert gateway is not None
    os.kill(gateway, signal.SIGKILL)
    eventually(lambda: stack.pids()["api"] not in (None, gateway) and stack.get("/health/ready")["ready"])


def test_the_demo_finds_prior_art_and_again_changes_nothing(stack: Running) -> None:
    first = stack.run("demo")
    corpus = stack.get("/corpus")
    files = {path.name: path.stat().st_mtime_ns for path in (stack.home / "demo").iterdir()}
    second = stack.run("demo")

    assert corpus["patents"] == 60
    assert [(index["state"], index["indexed"]) for index in corpus["indexes"]] == [("active", corpus["drawings"])]
    query = re.search(r"drawing=([\w-]+)&before=([\d-]+)", first)
    assert query is not None
    drawing, before = query.groups()
    hits = stack.get("/search", drawing=drawing, before=before)["hits"]
    assert hits
    assert all(hit["patent"]["granted"] < before for hit in hits)
    assert f"{hits[0]['score']:.3f} │ {hits[0]['patent']['id']}" in first

    assert second.partition("What looks like")[2] == first.partition("What looks like")[2]
    assert stack.get("/corpus") == corpus
    assert {path.name: path.stat().st_mtime_ns for path in (stack.home / "demo").iterdir()} == files


def test_nobody_else_on_the_machine_can_read_what_a_stack_keeps(stack: Running) -> None:
    assert open_to_others(stack.home) == []
    assert stack.home.stat().st_mode & 0o066 == 0


def test_a_second_stack_runs_beside_the_first_and_stops_without_a_trace(stack: Running, server_folder: Path) -> None:
    second = Running(server_folder / ("a home with a long name and spaces " * 3).strip(), free_port())
    second.run("up")
    assert second.get("/corpus")["patents"] == 0
    assert stack.get("/health/ready")["ready"]
    sockets = Home.at(second.home).run
    assert sockets.parent != second.home

    assert "Stopped" in second.run("down")
    assert not sockets.exists()
    eventually(lambda: not processes_that_name(str(second.home)) and not processes_that_name(str(sockets)), seconds=10)
    assert stack.get("/health/ready")["ready"]
