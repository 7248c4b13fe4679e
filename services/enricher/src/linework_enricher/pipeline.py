"""From facts to checked texts: the captioner looks, the model writes, rules check, a bad answer is asked again.

Where nobody looks at the pictures, the drawings of a design share one call, and the template's view sentences tell
them apart.
"""

import asyncio
from collections.abc import Sequence

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from linework_core import store
from linework_core.errors import NotFound, Unavailable
from linework_enricher import check, prompts, template
from linework_enricher.asking import Asker, Bill, NotDescribed
from linework_enricher.chat import ChatRequest
from linework_enricher.enrichment import Unit
from linework_enricher.facts import Facts
from linework_enricher.provider import Provider
from linework_enricher.recipe import Recipe
from linework_enricher.sets import NewSet
from linework_enricher.texts import Text

CAPTION_TOKENS = 400
LONGEST_CAPTION = 2000  # characters of a caption that are passed on
TOKENS_A_TEXT = 100  # at most, JSON around it included


class Pipeline:
    """Describes units by one recipe. All calls go through the cache, and none beyond the budget."""

    def __init__(
        self,
        recipe: Recipe,
        llm: Provider,
        captioner: Provider | None,
        asker: Asker,
        objects: ObjectStore,
    ) -> None:
        self._recipe = recipe
        self._llm = llm
        self._captioner = captioner
        self._asker = asker
        self._objects = objects

    async def describe(self, unit: Unit) -> list[NewSet]:
        """A set for each drawing of the unit. Raises NotDescribed, OutOfBudget, ProviderError, Unavailable."""
        bill = Bill()
        caption = await self._caption(self._captioner, unit.lead, bill) if self._captioner else None
        texts = await self._texts(unit.lead, caption, bill)
        return await self._asker.apart(self._sets, unit, texts, bill)

    async def _caption(self, captioner: Provider, facts: Facts, bill: Bill) -> str:
        """What the vision model saw."""
        request = caption_request(facts, await picture_of(self._objects, facts.derivative))
        answer = await self._asker.ask(captioner, request, "caption", bill)
        caption = readable_caption(answer.text)
        if not caption:
            raise NotDescribed("caption-empty", "The captioner said nothing that can be read.")
        return caption

    async def _texts(self, facts: Facts, caption: str | None, bill: Bill) -> Sequence[Text]:
        def read(answer: str) -> tuple[Sequence[Text], Sequence[str]]:
            checked = check.texts(answer, facts, asked_count(self._recipe), self._recipe.languages)
            return checked.texts, checked.faults

        question = describe_request(self._recipe, facts, caption)
        return await self._asker.ask_until(self._llm, question, "describe", read, bill)

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


async def picture_of(objects: ObjectStore, derivative: str) -> bytes:
    """The derivative of this hash as a PNG. Raises NotDescribed where it is missing, Unavailable."""
    try:
        return await asyncio.to_thread(store.get, objects, store.derivative_key(derivative))
    except NotFound as error:
        raise NotDescribed("derivative-missing", error.detail) from None
    except BaseError as error:
        raise Unavailable(f"The object store does not answer ({type(error).__name__}).") from error


def caption_request(facts: Facts, picture: bytes | None) -> ChatRequest:
    """What the captioner is asked about a drawing."""
    return ChatRequest(prompts.caption(facts), images=(picture,) if picture else (), max_tokens=CAPTION_TOKENS)


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
