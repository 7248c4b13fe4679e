"""Asking models: through the cache, within the budget, on a bill, and again where the answer cannot be used."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from linework_enricher import prompts
from linework_enricher.calls import Answered, Calls
from linework_enricher.chat import ChatRequest
from linework_enricher.errors import Unusable
from linework_enricher.provider import Provider
from linework_enricher.purse import Purse

ASKS = 3  # the question, and twice again with the fault named
Purpose = Literal["caption", "describe", "title"]
Result = TypeVar("Result")
_PROMPTS: dict[Purpose, prompts.Name] = {"caption": "caption", "describe": "describe", "title": "cluster"}


class NotDescribed(Exception):
    """No acceptable text came of it; what was to be described is set aside with this reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Bill:
    """The calls that one result rests on, and what was paid for those that were first made for it."""

    calls: list[str] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    latency_ms: float = 0.0


class Asker:
    """Keeps a job's books: what was spent goes into the purse, and on the bill of what it was spent for."""

    def __init__(self, calls: Calls, purse: Purse) -> None:
        self._calls = calls
        self._purse = purse
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read")

    async def ask_until(
        self,
        provider: Provider,
        question: ChatRequest,
        purpose: Purpose,
        read: Callable[[str], tuple[Result, Sequence[str]]],
        bill: Bill,
    ) -> Result:
        """What `read` makes of the answer; where it finds faults ('kind: sentence'), the model is asked again.

        Raises NotDescribed after the last answer, OutOfBudget, ProviderError.
        """
        request = question
        reason, faults = "", [""]
        for _ in range(ASKS):
            try:
                said = (await self.ask(provider, request, purpose, bill)).text
                result, found = await self.apart(read, said)
                if not found:
                    return result
                reason, faults = f"answer-{found[0].split(':', 1)[0]}", list(found)
            except Unusable as error:
                said, reason, faults = "", error.reason, [f"{error.reason}: {error.detail}"]
            again = prompts.describe_again([dict(one) for one in question.messages], said, faults)
            request = replace(question, messages=again)
        raise NotDescribed(reason, f"Asked {ASKS} times. {'; '.join(faults)}")

    async def ask(self, provider: Provider, request: ChatRequest, purpose: Purpose, bill: Bill) -> Answered:
        """The answer, from the cache or paid for; refused answers are paid for, too. Raises as `ask_until`."""
        prompt = prompts.version(_PROMPTS[purpose])
        async with self._room(provider, request):  # until its cost is on the books, whatever kind of answer it is
            try:
                answer = await self._calls.ask(provider, request, purpose=purpose, prompt=prompt)
            except Unusable as error:
                self._enter_unusable(provider, error)
                raise
            self._enter(answer, bill)
            return answer

    @asynccontextmanager
    async def _room(self, provider: Provider, request: ChatRequest) -> AsyncIterator[None]:
        """Room in the budget for a call, where there is a budget and the call costs anything. Raises OutOfBudget."""
        if not self._purse.limited or await self._calls.knows(provider, request):
            yield
            return
        most = provider.cost(request.tokens() - request.max_tokens, request.max_tokens)
        async with self._purse.room(request.tokens(), most):
            yield

    async def apart(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Does what takes milliseconds of a processor beside the event loop, lest free slots wait for it. One at a
        time: several would only share Python's lock.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _enter(self, answer: Answered, bill: Bill) -> None:
        bill.calls.append(answer.key)
        if answer.cached:
            self._purse.spent.cache_hits += 1
            return
        self._purse.spent.paid(answer.tokens_in, answer.tokens_out, answer.cost)
        bill.tokens_in += answer.tokens_in
        bill.tokens_out += answer.tokens_out
        bill.cost += answer.cost
        bill.latency_ms += answer.latency_ms

    def _enter_unusable(self, provider: Provider, error: Unusable) -> None:
        if error.tokens_in or error.tokens_out:
            cost = provider.cost(error.tokens_in, error.tokens_out)
            self._purse.spent.paid(error.tokens_in, error.tokens_out, cost)
        else:  # known from before: its cost was told to whoever asked first
            self._purse.spent.cache_hits += 1
