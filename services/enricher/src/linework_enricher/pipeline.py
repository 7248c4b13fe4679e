"""From facts to checked texts: the captioner looks, the model writes, rules check, a bad answer is asked again.

Where nobody looks at the pictures, the drawings of a design share one call, and the template's view sentences tell
them apart.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from linework_core import store
from linework_core.errors import NotFound, Unavailable
from linework_enricher import check, prompts, template
from linework_enricher.calls import Answered, Calls
from linework_enricher.chat import ChatRequest
from linework_enricher.enrichment import Unit
from linework_enricher.errors import Unusable
from linework_enricher.facts import Facts
from linework_enricher.provider import Provider
from linework_enricher.purse import Purse
from linework_enricher.recipe import Recipe
from linework_enricher.sets import NewSet
from linework_enricher.texts import Text

ASKS = 3  # the question, and twice again with the fault named
CAPTION_TOKENS = 400
LONGEST_CAPTION = 2000  # characters of a caption that are passed on
TOKENS_A_TEXT = 100  # at most, JSON around it included


class NotDescribed(Exception):
    """No acceptable texts came of it; the drawing is set aside with this reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Bill:
    """The calls that one unit rests on, and what was paid for those that were first made for it."""

    calls: list[str] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    latency_ms: float = 0.0


class Pipeline:
    """Describes units by one recipe. All calls go through the cache, and none beyond the budget."""

    def __init__(
        self,
        recipe: Recipe,
        llm: Provider,
        captioner: Provider | None,
        calls: Calls,
        objects: ObjectStore,
        purse: Purse,
    ) -> None:
        self._recipe = recipe
        self._llm = llm
        self._captioner = captioner
        self._calls = calls
        self._objects = objects
        self._purse = purse

    async def describe(self, unit: Unit) -> list[NewSet]:
        """A set for each drawing of the unit. Raises NotDescribed, OutOfBudget, ProviderError, Unavailable."""
        bill = Bill()
        caption = await self._caption(self._captioner, unit.lead, bill) if self._captioner else None
        texts = await self._texts(unit.lead, caption, bill)
        return self._sets(unit, texts, bill)

    async def _caption(self, captioner: Provider, facts: Facts, bill: Bill) -> str:
        """What the vision model saw."""
        request = caption_request(facts, await self._picture(facts))
        answer = await self._ask(captioner, request, "caption", bill)
        caption = readable_caption(answer.text)
        if not caption:
            raise NotDescribed("caption-empty", "The captioner said nothing that can be read.")
        return caption

    async def _picture(self, facts: Facts) -> bytes:
        try:
            return await asyncio.to_thread(store.get, self._objects, store.derivative_key(facts.derivative))
        except NotFound as error:
            raise NotDescribed("derivative-missing", error.detail) from None
        except BaseError as error:
            raise Unavailable(f"The object store does not answer ({type(error).__name__}).") from error

    async def _texts(self, facts: Facts, caption: str | None, bill: Bill) -> Sequence[Text]:
        count, languages = asked_count(self._recipe), self._recipe.languages
        question = request = describe_request(self._recipe, facts, caption)
        reason, faults = "", [""]
        for _ in range(ASKS):
            try:
                answer = await self._ask(self._llm, request, "describe", bill)
                said, checked = answer.text, check.texts(answer.text, facts, count, languages)
                if not checked.faults:
                    return checked.texts
                reason, faults = f"answer-{checked.reason}", checked.faults
            except Unusable as error:
                said, reason, faults = "", error.reason, [f"{error.reason}: {error.detail}"]
            again = prompts.describe_again([dict(one) for one in question.messages], said, faults)
            request = ChatRequest(again, schema=question.schema, max_tokens=question.max_tokens)
        raise NotDescribed(reason, f"Asked {ASKS} times. {'; '.join(faults)}")

    async def _ask(self, provider: Provider, request: ChatRequest, purpose: str, bill: Bill) -> Answered:
        """The answer, from the cache or paid for; refused answers are paid for, too."""
        prompt = prompts.version("caption" if purpose == "caption" else "describe")
        try:
            if self._purse.limited and not await self._calls.knows(provider, request):
                most = provider.cost(request.tokens() - request.max_tokens, request.max_tokens)
                async with self._purse.room(request.tokens(), most):
                    answer = await self._calls.ask(provider, request, purpose=purpose, prompt=prompt)
                    self._enter(answer, bill)
            else:
                answer = await self._calls.ask(provider, request, purpose=purpose, prompt=prompt)
                self._enter(answer, bill)
        except Unusable as error:
            self._enter_unusable(provider, error)
            raise
        return answer

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

    def _sets(self, unit: Unit, texts: Sequence[Text], bill: Bill) -> list[NewSet]:
        """What was paid stands with the first drawing, so that the sum over all sets is what was paid."""
        paid = (bill.tokens_in, bill.tokens_out, bill.cost, bill.latency_ms)
        first, *others = unit.facts
        return [
            NewSet(first, self._own(texts, first), bill.calls, *paid),
            *(NewSet(facts, self._own(texts, facts), bill.calls) for facts in others),
        ]

    def _own(self, texts: Sequence[Text], facts: Facts) -> Sequence[Text]:
        return template.joined(texts, facts, self._recipe.count) if completed_by_template(self._recipe) else texts


def caption_request(facts: Facts, picture: bytes | None) -> ChatRequest:
    """What the captioner is asked about a drawing."""
    return ChatRequest(prompts.caption(facts), image=picture, max_tokens=CAPTION_TOKENS)


def describe_request(recipe: Recipe, facts: Facts, caption: str | None) -> ChatRequest:
    """What the language model is asked about a drawing, or without a caption about its design."""
    count = asked_count(recipe)
    messages = prompts.describe(facts, caption, count, recipe.languages)
    return ChatRequest(messages, schema=prompts.DESCRIBE_SCHEMA, max_tokens=200 + TOKENS_A_TEXT * count)


def readable_caption(answer: str) -> str:
    """A caption as it is passed on: cleaned, and not longer than a caption should be."""
    return check.clean(answer[: 2 * LONGEST_CAPTION])[:LONGEST_CAPTION]


def completed_by_template(recipe: Recipe) -> bool:
    """Whether the template's view sentences, which are English, tell a design's drawings apart."""
    return recipe.captioner is None and "en" in recipe.languages


def asked_count(recipe: Recipe) -> int:
    """How many texts the model is asked for."""
    return template.to_ask_for(recipe.count) if completed_by_template(recipe) else recipe.count
