"""An answer that many want and that costs something to find out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Asks once for all who want to know at the time, and again when the answer (or the error) is `seconds` old."""

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float = 1.0) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking: asyncio.Task[T] | None = None
        self._answered_at = 0.0

    async def __call__(self) -> T:
        """The answer. Raises what asking raised."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._answered_at >= self._seconds):
            self._asking = asyncio.create_task(self._asked())
        return await asyncio.shield(self._asking)  # who goes away ends it for nobody else

    async def _asked(self) -> T:
        try:
            return await self._ask()
        finally:
            self._answered_at = asyncio.get_running_loop().time()
