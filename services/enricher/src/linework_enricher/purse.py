"""What a job has spent on calls, and whether it may spend more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from linework_enricher.recipe import Budget


class OutOfBudget(Exception):
    """The next call might take more than the job may. Not an error: the job ends here."""


@dataclass(slots=True)
class Spent:
    """Calls answered for this job, and what was paid for them. What came from the cache costs nothing."""

    calls: int = 0
    cache_hits: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0  # US dollars

    def paid(self, tokens_in: int, tokens_out: int, cost: float) -> None:
        self.calls += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.cost += cost


class Purse:
    """Calls in flight count with the most they may take, so that all of them together never exceed the budget."""

    def __init__(self, budget: Budget, spent: Spent) -> None:
        self.spent = spent
        self._tokens = budget.tokens
        self._money = budget.money
        self._held_tokens = 0
        self._held_money = 0.0
        self._in_flight = 0
        self._changed = asyncio.Condition()

    @property
    def limited(self) -> bool:
        return self._tokens is not None or self._money is not None

    @asynccontextmanager
    async def room(self, tokens: int, money: float) -> AsyncIterator[None]:
        """Leave for a call that takes at most so much. Waits while calls in flight may leave some of theirs.

        Raises OutOfBudget.
        """
        async with self._changed:
            while not self._fits(tokens, money):
                if not self._in_flight:
                    raise OutOfBudget
                await self._changed.wait()
            self._hold(1, tokens, money)
        try:
            yield
        finally:
            self._hold(-1, -tokens, -money)
            async with self._changed:
                self._changed.notify_all()

    def _fits(self, tokens: int, money: float) -> bool:
        taken = self.spent.tokens_in + self.spent.tokens_out + self._held_tokens
        within_tokens = self._tokens is None or taken + tokens <= self._tokens
        within_money = self._money is None or self.spent.cost + self._held_money + money <= self._money
        return within_tokens and within_money

    def _hold(self, calls: int, tokens: int, money: float) -> None:
        self._in_flight += calls
        self._held_tokens += tokens
        self._held_money = self._held_money + money if self._in_flight else 0.0  # no rounding error stays
