"""Following jobs: all streams of events together cost one statement a second for jobs and one for keys.

A stream that only waits holds no thread and no connection.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy import Engine, select

from linework_api.keys import service as keys
from linework_core.db import transaction
from linework_core.errors import Unauthorized
from linework_core.jobs.service import UNDONE, JobView
from linework_core.tables import ApiKey, Job

log = structlog.get_logger()
EVERY_S = 1.0


@dataclass(slots=True, eq=False)
class Follower:
    """Somebody who follows a job. `job` is as it was read last; None when it is gone."""

    job_id: UUID
    key_id: UUID | None
    job: JobView | None
    refused: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class JobWatch:
    """Reads what anybody follows, while anybody does. For one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._followers: set[Follower] = set()
        self._reading: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(1)

    async def follow(self, job: JobView, key_id: UUID | None) -> AsyncIterator[JobView]:
        """The job, and again whenever it has changed, until it has ended. Raises Unauthorized once the key is void."""
        follower = Follower(job.id, key_id, job)
        self._followers.add(follower)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_on())
        try:
            yield job
            while job.state in UNDONE:
                await follower.news.wait()
                follower.news.clear()
                if follower.refused:
                    raise Unauthorized("This API key has expired or been revoked.")
                if follower.job is None:
                    return
                job = follower.job
                yield job
        finally:
            self._followers.discard(follower)

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _read_on(self) -> None:
        while self._followers:
            await asyncio.sleep(EVERY_S)
            followers = list(self._followers)
            job_ids = {one.job_id for one in followers}
            key_ids = {one.key_id for one in followers if one.key_id is not None}
            try:
                read = partial(_read, self._engine, job_ids, key_ids)
                jobs, usable = await run_sync(read, limiter=self._thread)
            except Exception as error:  # the database may be back before the followers give up; they must not hang
                log.warning("jobs_not_read", exc_info=error)
                continue
            for one in followers:
                _tell(one, jobs.get(one.job_id), refused=one.key_id is not None and one.key_id not in usable)


def _tell(follower: Follower, job: JobView | None, *, refused: bool) -> None:
    if refused or job != follower.job:
        follower.job, follower.refused = job, refused
        follower.news.set()


def _read(engine: Engine, job_ids: set[UUID], key_ids: set[UUID]) -> tuple[dict[UUID, JobView], set[UUID]]:
    """The jobs as they are, and which of the keys may still be used."""
    with transaction(engine) as session:
        jobs = session.scalars(select(Job).where(Job.id.in_(job_ids)))
        usable = session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), keys.usable())) if key_ids else ()
        return {job.id: JobView.of(job) for job in jobs}, set(usable)
