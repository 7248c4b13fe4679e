"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def until(
    condition: Callable[[], object],
    *,
    seconds: float = 60,
    pause: float = 0.05,
    despite: tuple[type[Exception], ...] = (),
) -> None:
    """Return once it is true; errors of the kinds that are expected on the way mean that it is not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except despite:
            pass
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(pause)
