"""Applications over real HTTP, in a thread of the test's process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from tests.waiting import PATIENCE

GUARDED: dict[str, Any] = {"http": "linework_core.guarded:GuardedProtocol", "proxy_headers": False}


@contextmanager
def serving(app: FastAPI, *, socket: Path | None = None) -> Iterator[str]:
    """The application's address: on loopback, or on a Unix socket, in the form that EMBEDDER_URL has."""
    place = {"uds": str(socket)} if socket else {"host": "127.0.0.1", "port": 0}
    config = uvicorn.Config(app, lifespan="on", log_config=None, timeout_graceful_shutdown=5, **GUARDED, **place)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn", daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        yield f"unix://{socket}" if socket else f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=PATIENCE)
    assert not thread.is_alive(), "uvicorn did not stop"


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive(), "uvicorn did not start"
        assert time.monotonic() < deadline, "uvicorn takes too long to start"
        time.sleep(0.01)
