"""A whole stack of a source tree, in a home of its own, with AUTH=on."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from linework_local.home import Home
from linework_local.postgres import Postgres
from linework_local.supervision import Supervisor

SCOPES = {"heavy": ("search", "ingest", "enrich"), "light": ("search", "ingest"), "admin": ("admin",)}
START_SECONDS = 240
SETTINGS = {"AUTH": "on", "DEFAULT_ENCODER": "hog"}  # an encoder that takes little of the cores
OWN = ("DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL", "EMBEDDER_URL", "AUTH", "LINEWORK_HOME", "LINEWORK_PORT")


@dataclass
class Stack:
    """The stack of `tree`, started by that tree's own interpreter."""

    tree: Path
    home: Path
    port: int = 0
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def inbox(self) -> Path:
        return Home.at(self.home).inbox

    def start(self) -> None:
        """Return when the gateway is ready; the first start makes the keys. Raises RuntimeError."""
        self.port = self.port or _free_port()
        self._run("linework_local", "up", "--timeout", str(START_SECONDS), *self._where())
        for name, scopes in SCOPES.items():
            if name not in self.keys:
                self.keys[name] = self._new_key(name, scopes)

    def stop(self) -> None:
        for pid in self.programs().values():
            _continue(pid)
        self._run("linework_local", "down", *self._where())

    def restart(self) -> None:
        self.stop()
        self.start()

    def programs(self) -> dict[str, int]:
        """Process ids of the running programs by name, as the stack's supervisor has them."""
        supervisor = Supervisor(Home.at(self.home))
        if not supervisor.running:
            return {}
        return {process.name: process.pid for process in supervisor.processes() if process.pid}

    def client(self, name: str = "admin") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[name]}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False)

    def settle(self, seconds: float = 90) -> float:
        """Wait until no job is left and three calls in a row are quick; the seconds it took, infinite if it did not."""
        began, quick = time.monotonic(), 0
        with self.client() as client:
            while quick < 3:
                if time.monotonic() > began + seconds:
                    return float("inf")
                quick = quick + 1 if self._is_quick(client) else 0
                time.sleep(0.1)
        return time.monotonic() - began

    def _is_quick(self, client: httpx.Client) -> bool:
        began = time.monotonic()
        try:
            client.get("/corpus").raise_for_status()
            lists = [client.get("/jobs", params={"state": state}).json()["jobs"] for state in ("queued", "running")]
        except (httpx.HTTPError, KeyError):
            return False
        return time.monotonic() - began < 1 and not any(lists)

    def _new_key(self, name: str, scopes: Sequence[str]) -> str:
        options = [part for scope in scopes for part in ("--scope", scope)]
        made = self._run("linework_api.keys", "create", name, *options, "--rate-per-minute", "1000000")
        key: dict[str, Any] = json.loads(made[made.index("{\n") :])
        return str(key["key"])

    def _where(self) -> list[str]:
        return ["--home", str(self.home), "--port", str(self.port)]

    def _run(self, module: str, *arguments: str) -> str:
        """Run a module of the tree. Raises RuntimeError with its last words."""
        python = self.tree / ".venv" / "bin" / "python"
        home = Home.at(self.home)
        environment = {name: value for name, value in os.environ.items() if name not in OWN} | SETTINGS
        if module != "linework_local":
            database = Postgres(home.postgres_data, home.postgres_socket_folder)
            environment["DATABASE_URL"] = database.url()
        self.home.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(python), "-m", module, *arguments], cwd=self.home, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{module} {arguments[0]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _continue(pid: int) -> None:
    """A stopped process does not hear SIGTERM."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
