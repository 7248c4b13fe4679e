"""How much a caller may ask: requests a minute and searches a day, counted in Redis for all gateways together.

While Redis is away nobody is refused for that, and nobody is counted: an office that cannot search is worse off than
one whose callers are not limited for a while.
"""

import datetime as dt
import math
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from prometheus_client import Counter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from linework_api.keys.schemas import CallerKey
from linework_core.errors import QuotaExceeded, TooManyRequests

log = structlog.get_logger()
LIMITED = Counter("linework_limited_requests_total", "Requests refused with 429.", ["limit"])
UNCOUNTED = Counter("linework_uncounted_requests_total", "Requests that no limit has counted: Redis was away.")
PATIENCE_S = 0.25  # what a request gives a Redis that hangs …
PAUSE_S = 5.0  # … and how long it is not asked then
T = TypeVar("T")


class Rates:
    """Limits of callers by name, so that a second key is no second helping."""

    def __init__(self, redis_url: str, per_minute: int) -> None:
        """`per_minute` is for keys that name no rate of their own; 0 is no limit."""
        url = redis_url.replace("unix://", "redis+unix://", 1) if redis_url.startswith("unix://") else redis_url
        storage = RedisStorage(
            f"async+{url}",
            implementation="redispy",
            key_prefix="linework:rates",
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # handed on to redis-py as it is
        )
        self._storage = storage
        self._moving = MovingWindowRateLimiter(storage)
        self._fixed = FixedWindowRateLimiter(storage)
        self._per_minute = per_minute
        self._away_until = 0.0

    async def take(self, key: CallerKey) -> None:
        """Count a request. Raises TooManyRequests."""
        allowed = key.rate_per_minute if key.rate_per_minute is not None else self._per_minute
        if not allowed:
            return
        item = RateLimitItemPerMinute(allowed)
        if await self._asked(self._moving.hit(item, key.name), True):  # one that is refused does not count
            return
        LIMITED.labels("rate").inc()
        stats = await self._asked(self._moving.get_window_stats(item, key.name), None)
        # the oldest request of the last minute makes room when it is a minute old
        seconds = 1 if stats is None else max(1, math.floor(stats.reset_time - time.time()) + 1)
        raise TooManyRequests(f"This caller may send {allowed:,} requests a minute.", retry_after=seconds)

    async def take_searches(self, caller: str, allowed: int | None, number: int = 1) -> None:
        """Count searches of today. Raises QuotaExceeded; a batch that is refused takes nothing."""
        if allowed is None or number == 0:
            return
        now = dt.datetime.now(dt.UTC)
        item, day = RateLimitItemPerDay(max(allowed, 1)), now.date().isoformat()
        if number <= allowed:
            left = number == 1 or await self._asked(self._fixed.test(item, caller, day, cost=number), True)
            if left and await self._asked(self._fixed.hit(item, caller, day, cost=number), True):
                return
        LIMITED.labels("searches").inc()
        midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
        seconds = math.ceil((midnight - now).total_seconds())
        raise QuotaExceeded(f"This caller may search {allowed:,} times a day.", retry_after=seconds)

    async def close(self) -> None:
        await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # of redispy

    async def _asked(self, answer: Coroutine[Any, Any, T], otherwise: T) -> T:
        """What Redis says, or else `otherwise`, at once where it has just failed."""
        if time.monotonic() < self._away_until:
            answer.close()
            UNCOUNTED.inc()
            return otherwise
        try:
            return await answer
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + PAUSE_S
            log.warning("requests_not_counted", error=type(error).__name__)
            UNCOUNTED.inc()
            return otherwise
