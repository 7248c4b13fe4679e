"""Workers as real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NewWorker = Callable[[], subprocess.Popen[bytes]]


@contextmanager
def workers(module: str, queue: str, **settings: str) -> Iterator[NewWorker]:
    """Starts workers of a queue; those that still run are killed in the end."""
    started: list[subprocess.Popen[bytes]] = []
    celery = [sys.executable, "-m", "celery", "-A", module, "worker", "-Q", queue, "-P", "solo"]

    def start() -> subprocess.Popen[bytes]:
        command = [*celery, "-n", f"{queue}{len(started)}@test"]
        started.append(subprocess.Popen(command, env=os.environ | settings))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
