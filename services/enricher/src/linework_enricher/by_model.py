"""Describing by models: many drawings at once in one event loop, results written once a second.

Tasks wait for slots of the providers, whose limits hold over all workers; there are more tasks than slots, so that
no slot waits for a database.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from obstore.store import ObjectStore
from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError

from linework_core.errors import LineworkError, Unavailable
from linework_core.jobs.runner import Run, Stopped
from linework_core.settings import Settings
from linework_enricher import enrichment
from linework_enricher.asking import Asker, NotDescribed
from linework_enricher.calls import Calls
from linework_enricher.enrichment import Unit
from linework_enricher.errors import ProviderError, Rejected
from linework_enricher.ledger import Ledger
from linework_enricher.pages import Pages
from linework_enricher.pipeline import Pipeline
from linework_enricher.provider import Provider, opened
from linework_enricher.purse import OutOfBudget, Purse
from linework_enricher.recipe import Order
from linework_enricher.sets import Failure, NewSet

log = structlog.get_logger()
PAGE = 256  # drawings read ahead
WRITE_S = 1.0  # how long results wait
THREADS = 16  # for the database and the object store
WATCH_S = 0.2  # how soon a cancellation is noticed …
GRACE_S = 3.0  # … and how long calls under way may then take: they are paid for


class ProviderRefuses(LineworkError):
    """Every call would be refused: a wrong key, no such model. Nothing a later try could mend."""

    status, type, title = 502, "provider-rejected", "The provider refuses every call"


def describe_all(run: Run, order: Order, ledger: Ledger, settings: Settings, objects: ObjectStore) -> None:
    """Raises Stopped, ProviderRefuses, Unavailable."""
    asyncio.run(_describe_all(run, order, ledger, settings, objects))


async def _describe_all(run: Run, order: Order, ledger: Ledger, settings: Settings, objects: ObjectStore) -> None:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="enrich") as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with _pipeline(run, order, ledger, settings, objects) as pipeline:
            await _Pass(run, order, ledger, pipeline)()


@asynccontextmanager
async def _pipeline(
    run: Run, order: Order, ledger: Ledger, settings: Settings, objects: ObjectStore
) -> AsyncIterator[Pipeline]:
    if order.llm is None:
        raise ValueError("an order without a language model is for the template")
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(settings.redis_url))
        try:
            llm = await stack.enter_async_context(opened(order.llm, settings.api_key("llm"), redis))
            captioner: Provider | None = None
            if order.captioner is not None:
                key = settings.api_key("captioner")
                captioner = await stack.enter_async_context(opened(order.captioner, key, redis))
        except ValueError as error:  # a key that no header can carry
            raise ProviderRefuses(str(error)) from None
        calls = Calls(run.engine, payer=run.job_id, claim_s=settings.lease_seconds)
        asker = Asker(calls, Purse(order.budget, ledger.spent))
        yield Pipeline(order.recipe, llm, captioner, asker, objects)


class _Pass:
    """Once through all drawings that lack a set."""

    def __init__(self, run: Run, order: Order, ledger: Ledger, pipeline: Pipeline) -> None:
        self._run = run
        self._order = order
        self._ledger = ledger
        self._pipeline = pipeline
        slots = sum(provider.concurrency for provider in (order.llm, order.captioner) if provider)
        self._tasks = 2 * slots
        self._queue: asyncio.Queue[Unit | None] = asyncio.Queue(self._tasks)
        self._ending = False  # nothing more is begun
        self._outages = 0  # units in a row that found the provider down
        self._hopeless: Exception | None = None  # why the others would fare no better
        self._new: list[NewSet] = []
        self._failures: list[Failure] = []
        self._writing: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        try:
            await self._go()
        except BaseExceptionGroup as group:
            raise most_telling(group) from None
        finally:
            await self._write()
        self._run.checkpoint()
        if self._hopeless is not None:
            raise self._hopeless

    async def _go(self) -> None:
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(self._watch()), group.create_task(self._keep_writing())]
            workers = [group.create_task(self._work()) for _ in range(self._tasks)]
            await self._produce()
            for _ in workers:
                await self._queue.put(None)
            await asyncio.wait(workers)
            for watcher in watchers:
                watcher.cancel()

    async def _produce(self) -> None:
        pages = Pages(self._run.engine, self._order, size=PAGE, at_most=self._ledger.left)
        try:
            while not self._ending and (page := await asyncio.to_thread(pages.next)):
                for unit in enrichment.units(page, seen=self._order.captioner is not None):
                    await self._queue.put(unit)
        except SQLAlchemyError as error:
            self._give_up(error)
        if pages.capped:
            self._ledger.stopped = "budget"

    async def _work(self) -> None:
        while (unit := await self._queue.get()) is not None:
            if not self._ending:
                await self._describe(unit)

    async def _describe(self, unit: Unit) -> None:
        """Keeps the unit's sets, or the reason why there are none. Raises what broke on our side."""
        try:
            new = await self._pipeline.describe(unit)  # not in one statement: a write may take the list meanwhile
            self._new += new
            self._outages = 0
        except OutOfBudget:
            self._ledger.stopped, self._ending = "budget", True
        except NotDescribed as error:
            self._outages = 0
            self._fail(unit, error.reason, error.detail)
        except ProviderError as error:
            if (hopeless := self._judge(error)) is not None:
                self._give_up(hopeless)
            if self._hopeless is None:
                self._fail(unit, error.reason, error.detail)
        except (LineworkError, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # one unit that nobody foresaw must not keep the others from being described
            log.exception("drawing_not_described", drawing=unit.lead.drawing_id)
            self._fail(unit, "internal-error", type(error).__name__)

    def _judge(self, error: ProviderError) -> LineworkError | None:
        """Why the job should end, where the others would fare no better."""
        if isinstance(error, Rejected) and error.every_call:
            return ProviderRefuses(error.detail)
        self._outages = self._outages + 1 if error.outage else 0
        if self._outages > self._tasks:
            return Unavailable(f"{error.detail} {self._outages} drawings in a row found it so.")
        return None

    def _give_up(self, error: Exception) -> None:
        self._hopeless, self._ending = self._hopeless or error, True

    def _fail(self, unit: Unit, reason: str, detail: str) -> None:
        log.warning("drawing_not_described", drawing=unit.lead.drawing_id, reason=reason)
        self._failures += [Failure(facts.drawing_row, reason, detail) for facts in unit.facts]

    async def _watch(self) -> None:
        """When the run is to end, nothing more is begun, and what is under way gets a moment to end."""
        while True:
            try:
                self._run.checkpoint()
            except Stopped as stopped:
                self._give_up(stopped)
            if self._hopeless is not None:
                await asyncio.sleep(GRACE_S)
                raise self._hopeless
            await asyncio.sleep(WATCH_S)

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            try:
                await self._write()
            except SQLAlchemyError as error:
                self._give_up(error)
                return

    async def _write(self) -> None:
        """One write at a time, and never one that is given up half-way: its thread would go on."""
        if self._writing is not None:
            await asyncio.shield(self._writing)
        if self._new or self._failures or self._ledger.has_unwritten_spending:
            new, failures, self._new, self._failures = self._new, self._failures, [], []
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._ledger.write, new, failures))
            await asyncio.shield(self._writing)


def most_telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The end that was asked for, before what went wrong on the way to it."""
    causes = [most_telling(one) if isinstance(one, BaseExceptionGroup) else one for one in group.exceptions]
    return next((one for one in causes if isinstance(one, Stopped)), causes[0])
