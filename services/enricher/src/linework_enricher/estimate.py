"""A dry run: what an order would take. Nothing is sent, and nothing is written."""

from dataclasses import dataclass
from typing import Any

from obstore.store import ObjectStore
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from linework_core import store
from linework_core.db import transaction
from linework_core.errors import NotFound
from linework_core.jobs.runner import Run
from linework_core.settings import ProviderSettings
from linework_core.tables import LlmCall
from linework_enricher import calls, enrichment
from linework_enricher.chat import IMAGE_TOKENS, ChatRequest
from linework_enricher.enrichment import Unit
from linework_enricher.facts import Facts
from linework_enricher.pages import Pages
from linework_enricher.pipeline import asked_count, caption_request, describe_request, readable_caption
from linework_enricher.recipe import Order

PAGE = 256
CAPTION_OUT = 150  # tokens of a usual caption …
TEXT_OUT = 30  # … and of one text with the JSON around it
UNSEEN = "x" * 4 * CAPTION_OUT  # stands for a caption that nobody has written yet


@dataclass(slots=True)
class Estimate:
    """Calls that would be made, if no answer had to be asked for again; tokens are estimated, generously."""

    drawings: int = 0
    calls: int = 0
    cache_hits: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0  # US dollars

    def as_json(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in ("drawings", "calls", "cache_hits", "tokens_in", "tokens_out")}
        return numbers | {"cost": round(self.cost, 6)}

    def add(self, provider: ProviderSettings, tokens_in: int, tokens_out: int) -> None:
        self.calls += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.cost += provider.cost(tokens_in, tokens_out)


class DryRun:
    """Goes through the drawings as the job would, and asks the cache only."""

    def __init__(self, run: Run, order: Order, objects: ObjectStore) -> None:
        self._run = run
        self._order = order
        self._objects = objects
        self._estimate = Estimate()
        self._counted: set[str] = set()  # calls of this page …
        self._counted_before: set[str] = set()  # … and of the one before: a design may lie across the two
        self._reads_pictures = self._captioned_before()

    def __call__(self) -> dict[str, Any]:
        """The estimate. Raises Stopped."""
        pages = Pages(self._run.engine, self._order, size=PAGE, at_most=self._order.budget.drawings)
        while page := pages.next():
            self._run.checkpoint()
            self._estimate.drawings += len(page)
            if self._order.llm is not None:
                self._count(list(enrichment.units(page, seen=self._order.captioner is not None)), self._order.llm)
        return self._estimate.as_json()

    def _count(self, units: list[Unit], llm: ProviderSettings) -> None:
        self._counted_before, self._counted = self._counted, set()
        captions: list[str | None] = [None] * len(units)
        with transaction(self._run.engine) as session:
            if self._order.captioner is not None:
                captions = self._captions(session, units, self._order.captioner)
            requests = [
                describe_request(self._order.recipe, unit.lead, caption)
                for unit, caption in zip(units, captions, strict=True)
            ]
            tokens_out = TEXT_OUT * asked_count(self._order.recipe)
            # A request about an unseen picture stands for one of its own
            keys = [
                f"texts of {unit.lead.drawing_row}" if caption == UNSEEN else request.key(llm.url, llm.model)
                for unit, caption, request in zip(units, captions, requests, strict=True)
            ]
            self._enter(session, llm, dict(zip(keys, requests, strict=True)), tokens_out)

    def _captions(self, session: Session, units: list[Unit], captioner: ProviderSettings) -> list[str | None]:
        requests = {unit.lead.drawing_row: caption_request(unit.lead, self._picture(unit.lead)) for unit in units}
        keys = {row: request.key(captioner.url, captioner.model) for row, request in requests.items()}
        pending = {keys[row] if request.images else f"caption of {row}": request for row, request in requests.items()}
        said = self._enter(session, captioner, pending, CAPTION_OUT, image=True)
        return [readable_caption(said.get(keys[unit.lead.drawing_row]) or "") or UNSEEN for unit in units]

    def _enter(
        self,
        session: Session,
        provider: ProviderSettings,
        requests: dict[str, ChatRequest],
        tokens_out: int,
        *,
        image: bool = False,
    ) -> dict[str, str | None]:
        """Count the calls that would be made, and return the answers that are known."""
        known = calls.known(session, list(requests))
        for key in requests.keys() - self._counted - self._counted_before:
            if key in known:
                self._estimate.cache_hits += 1
                continue
            request = requests[key]
            seen = IMAGE_TOKENS if image and not request.images else 0
            self._estimate.add(provider, request.tokens() - request.max_tokens + seen, tokens_out)
        self._counted |= requests.keys()
        return known

    def _picture(self, facts: Facts) -> bytes | None:
        """Only read where its caption may be known; otherwise it makes no difference."""
        if not self._reads_pictures:
            return None
        try:
            return store.get(self._objects, store.derivative_key(facts.derivative))
        except NotFound:
            return None

    def _captioned_before(self) -> bool:
        captioner = self._order.captioner
        if captioner is None:
            return False
        asked = exists().where(LlmCall.provider_url == captioner.url, LlmCall.model == captioner.model)
        with transaction(self._run.engine) as session:
            return bool(session.scalar(select(asked)))
