"""Whether the parts that the gateway needs answer: measured for all who ask, not by each."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from anyio import fail_after
from anyio.to_thread import run_sync
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from linework_api.online_embedder import OnlineEmbedder
from linework_core.db import is_migrated, make_engine
from linework_core.errors import Unavailable
from linework_core.remembered import Remembered
from linework_core.settings import Settings

SECONDS = 5.0  # a part that has not answered by then is down
BELIEVED_S = 1.0  # /health/ready is open to strangers: their calls cost nothing more than this


class Readiness(BaseModel):
    """`parts` says of each part 'ok' or what is wrong with it."""

    ready: bool
    parts: dict[str, str]


class Parts:
    """Postgres (and its schema), Redis and the embedder, on a connection each that nothing else uses."""

    def __init__(self, settings: Settings, embedder: OnlineEmbedder) -> None:
        self._engine = make_engine(settings.database_url, pool_size=1, rush=False)
        retry = Retry(NoBackoff(), 0)
        self._redis = Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2, retry=retry)
        self._embedder = embedder
        self.readiness = Remembered(self._measured, BELIEVED_S)

    async def close(self) -> None:
        await self._redis.aclose()
        self._engine.dispose()

    async def _measured(self) -> Readiness:
        """All parts are asked at once."""
        checks = {"postgres": self._postgres, "redis": self._ping, "embedder": self._embedder.ready}
        states = await asyncio.gather(*(_state(check) for check in checks.values()))
        return Readiness(ready=all(state == "ok" for state in states), parts=dict(zip(checks, states, strict=True)))

    async def _postgres(self) -> None:
        if not await run_sync(partial(is_migrated, self._engine), abandon_on_cancel=True):
            raise Unavailable("The database's schema is not at this release's revision.")

    async def _ping(self) -> None:
        await self._redis.ping()


async def _state(check: Callable[[], Awaitable[object]]) -> str:
    try:
        with fail_after(SECONDS):
            await check()
    except TimeoutError:
        return f"No answer within {SECONDS:.0f} s."
    except Exception as error:  # whatever it is: this part does not work, and that is the answer
        return f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return "ok"
