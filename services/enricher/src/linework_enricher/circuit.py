"""A circuit breaker: while a provider is down nobody calls it, but for one probe now and then.

The state is the process's own. Sharing it would save the other processes a few failing calls, and would cost every
call a trip to Redis and one more thing that can break; what must hold over all workers is in `limits`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

import structlog

from linework_enricher.errors import ProviderError, StaysDown

log = structlog.get_logger()


class Circuit:
    """Opens after `failures` consecutive failures; probes after `first_pause_s`, twice as long after each failed probe.

    Callers do not get an error at once while it is open: they wait, so that a short outage costs time and no work.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._limit = failures
        self._first_pause = first_pause_s
        self._longest_pause = longest_pause_s
        self._clock = clock
        self._failures = 0  # consecutive ones
        self._pause = first_pause_s
        self._opened_at = 0.0
        self._opened_until: float | None = None
        self._probing = False
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._opened_until is not None

    @property
    def down_s(self) -> float:
        """For how long it has been open."""
        return self._clock() - self._opened_at if self.is_open else 0.0

    @asynccontextmanager
    async def passage(self, patience_s: float) -> AsyncIterator["Passage"]:
        """Waits until a call may be made, and learns from how it ends.

        Raises StaysDown after `patience_s` of waiting for a provider that stays down.
        """
        passage = Passage(self, probe=await self._admit(patience_s))
        alive: bool | None = None
        try:
            yield passage
            alive = True if passage.used else None
        except ProviderError as error:
            alive = not error.outage
            raise
        finally:
            self._leave(passage, alive)

    async def _admit(self, patience_s: float) -> bool:
        """Returns when a call may be made; True when it is the probe of an open circuit."""
        deadline = self._clock() + patience_s
        while self._opened_until is not None:
            now = self._clock()
            if not self._probing and now >= self._opened_until:
                self._probing = True
                return True
            if now >= deadline:
                raise StaysDown(f"{self._name} has been down for {patience_s:.0f} s.")
            wake_at = deadline if self._probing else min(self._opened_until, deadline)
            await self._wait(wake_at - now)
        return False

    def _leave(self, passage: "Passage", alive: bool | None) -> None:
        """`alive` is None where nothing was learnt: the call was not made, or was given up."""
        was_open = self.is_open
        if passage.probe:
            self._probing = False
        if alive:
            self._failures, self._opened_until, self._pause = 0, None, self._first_pause
        elif alive is False:
            self._failures += 1
            if passage.probe or (not was_open and self._failures >= self._limit):
                self._open()
        if was_open != self.is_open:
            log.info("circuit", provider=self._name, state="open" if self.is_open else "closed")
        self._changed.set()
        self._changed = asyncio.Event()

    def _open(self) -> None:
        if not self.is_open:
            self._opened_at = self._clock()
        self._opened_until = self._clock() + self._pause
        self._pause = min(2 * self._pause, self._longest_pause)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


@dataclass(slots=True)
class Passage:
    """Leave to make one call, as long as the circuit does not open meanwhile."""

    circuit: Circuit
    probe: bool
    used: bool = False

    def use(self) -> bool:
        """False when the circuit opened after the passage was granted: the call must not be made."""
        self.used = self.probe or not self.circuit.is_open
        return self.used
