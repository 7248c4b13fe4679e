"""The whole installation as real processes, to be killed one by one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from linework_local.account import tied
from linework_local.postgres import Postgres
from linework_local.redis import Redis
from tests.waiting import PATIENCE


class Stack:
    """Processes over one database, or with a Postgres of their own. `client` speaks to the gateway."""

    def __init__(self, folder: Path, database_url: str, *, postgres: Postgres | None = None) -> None:
        self.folder = folder
        self.postgres = postgres
        self.redis = Redis(data=folder, socket=folder / "redis.sock")
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            # quick to start; and the last bits of a network's vectors depend on what else is in its batch
            "DEFAULT_ENCODER": "hog",
            "REDIS_URL": self.redis.url,
            "OBJECT_STORE_URL": (folder / "objects").as_uri(),
            "EMBEDDER_URL": f"unix://{folder}/embedder.sock",
            "INGEST_ROOTS": json.dumps([folder.as_uri()]),
            "CACHE_DIR": str(folder / "cache"),
            "AUTH": "off",
            "LEASE_SECONDS": "3",
            "RECONCILE_SECONDS": "1",
            "OMP_NUM_THREADS": "1",
            "EMBED_BATCH_SIZE": "16",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        transport = httpx.HTTPTransport(uds=str(folder / "api.sock"))
        self.client = httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE)

    def command(self, name: str) -> list[str]:
        python = [sys.executable, "-m"]
        celery, worker = [*python, "celery", "-A"], ["worker", "-Q"]
        commands = {
            "redis": self.redis.command(throwaway=True),
            "postgres": self.postgres.command() if self.postgres else [],
            "api": [*python, "uvicorn", "--factory", "linework_api.app:create_app", "--uds", f"{self.folder}/api.sock"],
            "embedder": [
                *python, "uvicorn", "--factory", "linework_embedder.app:create_app",
                "--uds", f"{self.folder}/embedder.sock",
            ],
            "ingest": [
                *celery, "linework_api.worker", *worker, "ingest,search", "-P", "threads", "-c", "2", "-n", "i@t",
            ],
            "embed": [*celery, "linework_embedder.worker", *worker, "embed", "-P", "solo", "-n", "e@t"],
            "enrich": [*celery, "linework_enricher.worker", *worker, "enrich", "-P", "solo", "-n", "n@t"],
            "trainer": [*celery, "linework_trainer.worker", *worker, "evaluate,train", "-P", "solo", "-n", "t@t"],
            "beat": [*python, "linework_api.beat"],
        }  # fmt: skip
        return commands[name] if name == "postgres" else tied(commands[name])

    def start(self, *names: str) -> None:
        for name in names:
            (self.folder / f"{name}.sock").unlink(missing_ok=True)  # of one that was killed
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(name), env=self.environment, stdout=log, stderr=log, cwd=self.folder
                )
            if name == "redis":
                self.redis.wait_until_ready()
            if name == "postgres" and self.postgres is not None:
                self.postgres.wait_until_ready()

    def kill(self, name: str) -> None:
        """kill -9; its children end with their parent's death, but for Postgres', which are killed too."""
        process = self.processes[name]
        children = psutil.Process(process.pid).children(recursive=True) if name == "postgres" else []
        process.send_signal(signal.SIGKILL)
        for child in children:
            child.kill()
        process.wait(timeout=PATIENCE)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(timeout=PATIENCE)
        self.client.close()

    def wait_until_ready(self, seconds: float = PATIENCE) -> None:
        def ready() -> bool:
            # asked only once it listens: httpcore leaks the socket of a refused connection
            return (self.folder / "api.sock").exists() and self.client.get("/health/ready").status_code == 200

        self.wait_for(ready, seconds, "the gateway is ready")

    def wait_for(self, happened: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                logs = "\n".join(log.read_text()[-1500:] for log in self.folder.glob("*.log"))
                raise AssertionError(f"{what}: not within {seconds} s\n{logs}")
            time.sleep(0.1)

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(f"/jobs/{job_id}").raise_for_status().json()
        return answer

    def ingest(self, path: Path) -> str:
        """Begin to ingest what lies at `path`; the job's id."""
        return str(self.client.post("/ingest", json={"uri": path.as_uri()}).raise_for_status().json()["id"])

    def ask(self, path: str, **body: Any) -> str:
        """Ask for a job; its id."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def wait_for_job(self, job_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        self.wait_for(lambda: self.job(job_id)["state"] not in ("queued", "running"), seconds, f"job {job_id} ends")
        return self.job(job_id)

    def corpus(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get("/corpus").raise_for_status().json()
        return answer

    def wait_until_indexed(self, seconds: float = PATIENCE) -> None:
        def indexed() -> bool:
            indexes = self.corpus()["indexes"]
            return bool(indexes) and all(index["indexed"] == index["drawings"] for index in indexes)

        self.wait_for(indexed, seconds, "every drawing is indexed")


NewStack = Callable[..., AbstractContextManager[Stack]]


@pytest.fixture
def new_stack(server_folder: Path, database_url: str) -> NewStack:
    """Starts all processes, with settings of the test's own: `with new_stack(LOG_LEVEL="DEBUG") as stack`."""

    @contextmanager
    def started(**settings: str) -> Iterator[Stack]:
        folder = server_folder / f"stack-{time.monotonic_ns()}"
        folder.mkdir()
        made = Stack(folder, database_url)
        made.environment |= settings
        try:
            made.start("redis", "embedder", "api", "ingest", "embed", "beat")
            made.wait_until_ready()
            yield made
        finally:
            made.stop()

    return started


@pytest.fixture
def stack(new_stack: NewStack) -> Iterator[Stack]:
    """All processes, ready."""
    with new_stack() as made:
        yield made
