"""The job that names the clusters of a search: all of them at once, each written down as soon as it is named."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any, Literal

import structlog
from obstore.store import ObjectStore
from redis.asyncio import Redis
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_core.cluster_titles import Subject
from linework_core.db import transaction
from linework_core.errors import Unprocessable
from linework_core.jobs.runner import Run, Stopped
from linework_core.settings import ProviderSettings, Settings
from linework_core.tables import ClusterTitle, Job
from linework_enricher import prompts, titles
from linework_enricher.asking import Asker, Bill, NotDescribed
from linework_enricher.by_model import GRACE_S, WATCH_S, ProviderRefuses, most_telling
from linework_enricher.calls import Calls, spent_before
from linework_enricher.errors import ProviderError, Rejected
from linework_enricher.pipeline import picture_of
from linework_enricher.provider import Provider, opened
from linework_enricher.purse import OutOfBudget, Purse, Spent
from linework_enricher.recipe import Budget
from linework_enricher.titles import Title

log = structlog.get_logger()
Namer = Literal["captioner", "llm"]


class Titling:
    """Gives clusters the titles that they lack. A title is kept with who wrote it; another writer replaces it."""

    def __init__(self, run: Run, settings: Settings, objects: ObjectStore) -> None:
        """Raises Unprocessable where a model is asked for and none is, or no longer, configured."""
        self._run = run
        self._settings = settings
        self._objects = objects
        self._subjects = [Subject.from_json(told) for told in run.params["clusters"]]
        self._spent, self._titled = self._before()
        self._budget = Budget(**(run.params.get("budget") or {}))
        self._stopped: str | None = None
        self._failed = Counter[str]()
        self._namer, self._model = _namer(run.params["provider"], settings)
        self._provenance = _provenance(self._model, sees=self._namer == "captioner")

    def __call__(self) -> dict[str, Any]:
        """The job's result. Raises Stopped, ProviderRefuses, Unavailable."""
        self._run.start_counting(total=len(self._subjects))
        missing = self._missing()
        with self._run.transaction() as session:
            self._run.tell(session, skipped=len(self._subjects) - len(missing))
        if self._model is None:
            for subject in missing:
                self._titled += 1
                self._write(subject, titles.by_template(subject), Bill())
        elif missing:
            asyncio.run(self._by_model(missing, self._model))
        self._run.checkpoint()
        return self._result()

    def _before(self) -> tuple[Spent, int]:
        """What earlier runs of this job have spent and named: it counts against the budget."""
        with transaction(self._run.engine) as session:
            told = session.get_one(Job, self._run.job_id).result or {}
            return spent_before(session, self._run.job_id, told), told.get("titled", 0)

    def _result(self) -> dict[str, Any]:
        return {
            "titled": self._titled,
            **asdict(self._spent),
            "failed": dict(self._failed),
            "stopped": self._stopped,
        }

    def _keep(self, session: Session) -> None:
        """Write down what was spent, so that it stands wherever the job ends."""
        kept = self._run.mine().values(result=self._result())
        session.execute(kept, execution_options={"synchronize_session": False})

    def _missing(self) -> list[Subject]:
        """Those that this provider has not named by this prompt, each once."""
        by_key = {subject.key: subject for subject in self._subjects}
        mine = ClusterTitle.provenance.contains(self._provenance)
        with transaction(self._run.engine) as session:
            done = set(session.scalars(select(ClusterTitle.key).where(ClusterTitle.key.in_(by_key), mine)))
        return [subject for key, subject in by_key.items() if key not in done]

    async def _by_model(self, missing: list[Subject], model: ProviderSettings) -> None:
        async with AsyncExitStack() as stack:
            redis = await stack.enter_async_context(Redis.from_url(self._settings.redis_url))
            try:
                key = self._settings.api_key(self._namer)
                provider = await stack.enter_async_context(opened(model, key, redis))
            except ValueError as error:  # a key that no header can carry
                raise ProviderRefuses(str(error)) from None
            calls = Calls(self._run.engine, payer=self._run.job_id, claim_s=self._settings.lease_seconds)
            asker = Asker(calls, Purse(self._budget, self._spent))
            try:
                await self._all(missing, asker, provider)
            except BaseExceptionGroup as group:
                raise most_telling(group) from None

    async def _all(self, missing: list[Subject], asker: Asker, provider: Provider) -> None:
        """The provider's limits decide how many are asked at a time."""
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._watch())
            await asyncio.wait([group.create_task(self._name(one, asker, provider)) for one in missing])
            watcher.cancel()

    async def _watch(self) -> None:
        """A run that is to end lets the calls under way end, for they are paid for; it does not wait for long."""
        while True:
            try:
                self._run.checkpoint()
            except Stopped:
                await asyncio.sleep(GRACE_S)
                raise
            await asyncio.sleep(WATCH_S)

    async def _name(self, subject: Subject, asker: Asker, provider: Provider) -> None:
        bill = Bill()
        try:
            seen = subject.pictures if self._namer == "captioner" else ()
            pictures = [await picture_of(self._objects, derivative) for derivative in seen]
            question = titles.request(subject, pictures)
            title = await asker.ask_until(provider, question, "title", titles.read, bill)
        except OutOfBudget:
            self._stopped = "budget"
        except (NotDescribed, ProviderError) as error:
            if isinstance(error, Rejected) and error.every_call:
                raise ProviderRefuses(error.detail) from None
            log.warning("cluster_not_titled", reason=error.reason)
            self._failed[error.reason] += 1
            await asyncio.to_thread(self._fail)
        else:
            self._titled += 1
            await asyncio.to_thread(self._write, subject, title, bill)

    def _write(self, subject: Subject, title: Title, bill: Bill) -> None:
        """The title and the job's progress, in one transaction. A run that is being stopped may still write."""
        values = {"title": title.title, "summary": title.summary, "provenance": self._provenance | asdict(bill)}
        statement = insert(ClusterTitle).values(key=subject.key, **values)
        replacing = statement.on_conflict_do_update(index_elements=["key"], set_={**values, "created_at": func.now()})
        with transaction(self._run.engine) as session:
            session.execute(replacing)
            self._run.tell(session, done=1)
            self._keep(session)

    def _fail(self) -> None:
        with transaction(self._run.engine) as session:
            self._run.tell(session, failed=1)
            self._keep(session)


def _namer(provider: str, settings: Settings) -> tuple[Namer, ProviderSettings | None]:
    """Who names clusters: the vision model where there is one, for it can look at them."""
    if provider == "template":
        return "llm", None
    if settings.captioner is not None:
        return "captioner", settings.captioner
    if settings.llm is None:
        raise Unprocessable("No model is configured here (settings CAPTIONER and LLM).")
    return "llm", settings.llm


def _provenance(model: ProviderSettings | None, *, sees: bool) -> dict[str, Any]:
    if model is None:
        return {"provider": "template", "model": None, "prompt": titles.TEMPLATE_VERSION, "pictures": False}
    prompt = prompts.version("cluster")
    return {"provider": "openai", "url": model.url, "model": model.model, "prompt": prompt, "pictures": sees}
