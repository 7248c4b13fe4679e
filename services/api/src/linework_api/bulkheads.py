"""Bulkheads: how many requests do one kind of work at a time, and in which order the others wait.

Each kind of work (the database, pictures, heavy computing, the embedder) has places of its own, so that one that hangs
takes nothing else with it. A place of the database stands for a thread *and* a connection: whoever has the thread never
waits for the connection. Requests wait here, where they hold neither.
"""

import asyncio
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import prometheus_client
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect

from linework_core.errors import Busy, TooManyRequests

T = TypeVar("T")
WAITING = prometheus_client.Gauge("linework_waiting_requests", "Requests that wait for a place.", ["bulkhead"])
REFUSED = prometheus_client.Counter(
    "linework_busy_requests_total", "Requests refused because too many wait, or have waited too long.", ["bulkhead"]
)
Left = Callable[[], Awaitable[bool]]  # whether the client has gone


class Bulkhead:
    """Places for one kind of work, given to callers in turn. For one event loop."""

    def __init__(self, name: str, places: int, *, queue: int = 400, seconds: float = 10.0) -> None:
        """`queue` requests wait at most, each for `seconds` at most; a caller has three quarters of the places."""
        self.name = name
        self.places = places
        self.queue = queue
        self.seconds = seconds
        self._share = max(1, places * 3 // 4)
        self._threads = CapacityLimiter(places)
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # the next caller first
        self._mean_s = 0.05  # of the work that was done lately

    async def run(
        self, caller: str, function: Callable[[], T], *, patient: bool = False, left: Left | None = None
    ) -> T:
        """What the function returns, called in a thread once there is a place; else as `place`."""
        async with self.place(caller, patient=patient, left=left):
            return await run_sync(function, limiter=self._threads)

    @asynccontextmanager
    async def place(self, caller: str, *, patient: bool = False, left: Left | None = None) -> AsyncIterator[None]:
        """A place for what follows. Raises Busy or TooManyRequests, or ClientDisconnect where nobody waits any more.

        What is `patient` is never refused: its answer has begun, or its upload has been received.
        """
        waited = await self._enter(caller, patient)
        began = time.perf_counter()
        try:
            if waited and left is not None and await left():
                raise ClientDisconnect
            yield
        finally:
            self._mean_s += 0.1 * (time.perf_counter() - began - self._mean_s)
            self._leave(caller)

    async def _enter(self, caller: str, patient: bool) -> bool:
        """Take a place, or wait for one: whether it had to be waited for."""
        if self._running.total() < self.places and self._running[caller] < self._share:
            self._running[caller] += 1  # nobody who could take it waits: a free place is given away at once
            return False
        if not patient:
            self._refuse_what_is_too_much(caller)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        WAITING.labels(self.name).inc()
        try:
            async with asyncio.timeout(None if patient else self.seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it was given in the same moment
                self._leave(caller)
            else:
                self._forget(caller, turn)
            if isinstance(error, TimeoutError):
                raise self._busy(caller) from None
            raise
        finally:
            WAITING.labels(self.name).dec()
        return True

    def _leave(self, caller: str) -> None:
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        while self._running.total() < self.places:
            following = next((one for one in self._waiting if self._running[one] < self._share), None)
            if following is None:
                return
            turn = self._waiting[following].popleft()
            self._waiting.move_to_end(following)
            if not self._waiting[following]:
                del self._waiting[following]
            if not turn.done():
                turn.set_result(None)
                self._running[following] += 1

    def _forget(self, caller: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(caller)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[caller]

    def _refuse_what_is_too_much(self, caller: str) -> None:
        own = len(self._waiting.get(caller, ()))
        if own >= self.queue // 2:
            REFUSED.labels(self.name).inc()
            detail = f"{own} requests of this caller wait already."
            raise TooManyRequests(detail, retry_after=self._retry_after(caller))
        if sum(map(len, self._waiting.values())) >= self.queue or self._expected_s(caller) > self.seconds:
            raise self._busy(caller)

    def _busy(self, caller: str) -> Busy:
        REFUSED.labels(self.name).inc()
        return Busy("Too many requests wait for their turn.", retry_after=self._retry_after(caller))

    def _expected_s(self, caller: str) -> float:
        """How long a request of this caller would wait: callers come in turn."""
        own, callers = len(self._waiting.get(caller, ())) + 1, len(self._waiting.keys() | {caller})
        return own * callers * self._mean_s / self.places

    def _retry_after(self, caller: str) -> int:
        return max(1, min(60, math.ceil(self._expected_s(caller))))
