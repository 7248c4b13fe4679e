"""Dynamic batching: items that arrive within a few milliseconds go through the model together.

Each item has a future of its own. A batch closes when it is full, or when its oldest item has waited long
enough; while the model works, the next batch fills.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

import numpy as np
from prometheus_client import Counter, Histogram

from linework_core.errors import LineworkError, Unavailable
from linework_embedder.encoding import Vector, encode_each, is_fatal
from linework_vision.encoder import Vectors

Item = TypeVar("Item")
BATCHES = Histogram(
    "linework_embedder_batch_items", "Items in a batch.", ["kind"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
SECONDS = Histogram("linework_embedder_batch_seconds", "Seconds that the model took for a batch.", ["kind"])
ITEMS = Counter("linework_embedder_items_total", "Items by their outcome.", ["kind", "outcome"])


class _Ticket(Generic[Item]):
    def __init__(self, item: Item, loop: asyncio.AbstractEventLoop) -> None:
        self.item = item
        self.arrived = loop.time()
        self.vector: asyncio.Future[Vector] = loop.create_future()


class Batcher(Generic[Item]):
    """Batches the calls of one function of one model. All methods belong to the event loop's thread."""

    def __init__(
        self,
        encode: Callable[[Sequence[Item]], Vectors],
        executor: Executor,
        *,
        kind: str,
        size: int,
        wait_s: float,
        on_failure: Callable[[BaseException, bool], None],
    ) -> None:
        """`encode` runs in `executor`. `on_failure(error, fatal)` hears of every exception that was no item's
        fault, and whether nothing can be expected of this process after it.
        """
        self._encode = encode
        self._executor = executor
        self._kind = kind
        self._size = size
        self._wait_s = wait_s
        self._on_failure = on_failure
        self._waiting: deque[_Ticket[Item]] = deque()
        self._arrival = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"batcher-{kind}")

    async def submit(self, items: Sequence[Item]) -> Vectors:
        """Vectors (n, dimension) in the order of the items.

        Raises what the model raised, the error of the first bad item, or Unavailable if the batcher is closed.
        """
        if self._task.done():
            raise Unavailable("The encoder was put away; ask again.", retry_after=1)
        tickets = [_Ticket(item, asyncio.get_running_loop()) for item in items]
        self._waiting.extend(tickets)
        self._arrival.set()
        return np.stack(await asyncio.gather(*(ticket.vector for ticket in tickets)))

    async def close(self) -> None:
        """Stop; whoever still waits is told to ask again."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        batch: list[_Ticket[Item]] = []
        try:
            while True:
                batch = await self._next_batch()
                if batch:
                    await self._run_batch(batch)
        except Exception as error:
            self._on_failure(error, True)
            raise
        finally:
            for ticket in [*batch, *self._waiting]:
                _settle(ticket, Unavailable("The encoder was put away; ask again.", retry_after=1))

    async def _next_batch(self) -> list[_Ticket[Item]]:
        """What waits, at most `size`, without those whose callers have gone."""
        while not self._waiting:
            await self._arrives()
        deadline = self._waiting[0].arrived + self._wait_s
        try:
            async with asyncio.timeout_at(deadline):
                while len(self._waiting) < self._size:
                    await self._arrives()
        except TimeoutError:
            pass
        count = min(self._size, len(self._waiting))
        tickets = [self._waiting.popleft() for _ in range(count)]
        return [ticket for ticket in tickets if not ticket.vector.done()]

    async def _arrives(self) -> None:
        self._arrival.clear()
        await self._arrival.wait()

    async def _run_batch(self, batch: list[_Ticket[Item]]) -> None:
        items = [ticket.item for ticket in batch]
        began = time.perf_counter()
        outcomes: Sequence[Vector | BaseException]
        try:
            loop = asyncio.get_running_loop()
            outcomes = await loop.run_in_executor(self._executor, encode_each, self._encode, items)
        except Exception as error:
            self._on_failure(error, is_fatal(error))
            outcomes = [_for_callers(error)] * len(batch)
        SECONDS.labels(self._kind).observe(time.perf_counter() - began)
        BATCHES.labels(self._kind).observe(len(batch))
        for ticket, outcome in zip(batch, outcomes, strict=True):
            ITEMS.labels(self._kind, "failed" if isinstance(outcome, BaseException) else "embedded").inc()
            _settle(ticket, outcome)


def _settle(ticket: _Ticket[Item], outcome: Vector | BaseException) -> None:
    if ticket.vector.done():  # its caller has gone
        return
    if isinstance(outcome, BaseException):
        ticket.vector.set_exception(outcome)
    else:
        ticket.vector.set_result(outcome)


def _for_callers(error: Exception) -> LineworkError:
    if isinstance(error, LineworkError):
        return error
    return LineworkError(f"The model failed: {type(error).__name__}.")
