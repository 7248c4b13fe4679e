"""A worker has no port: that it lives is shown by the age of a file, which a container's health check looks at."""

import threading
from pathlib import Path

EVERY_S = 10.0


def touch(file: Path | None) -> None:
    """Say that this process lives, where a file is named for it."""
    if file is not None:
        file.touch()


def keep_touching(file: Path | None) -> None:
    """Touch the file every few seconds, from a thread that ends with the process.

    It goes on during a long job and stops when the process hangs as a whole: a job that hangs shows in its progress.
    """
    if file is None:
        return

    def run() -> None:
        while True:
            file.touch()
            pause.wait(EVERY_S)

    pause = threading.Event()
    threading.Thread(target=run, name="alive", daemon=True).start()
