"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable

PATIENCE = 240  # seconds: longer than what is well can take on a busy machine, and shorter than a test may take


def until(
    condition: Callable[[], object],
    *,
    seconds: float = PATIENCE,
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
