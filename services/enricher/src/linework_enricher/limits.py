"""Rates and concurrency of one provider, held over all workers by Redis, whose clock is the only one that counts.

One script decides on requests, tokens and concurrency together. Libraries for rates decide on one limit at a time, so
that a request refused for its tokens has already used up its place among the requests; and those that hold a sliding
minute exactly keep an entry for each token.

The minute is a hash of one-second buckets: no sixty seconds hold more than the limit. A slot is a lease that ends by
itself when the call must have ended, so that a killed worker's slots come back. A Redis that lost its data knows
neither: the first caller who notices makes all wait until nothing of before can count any more.
"""

import asyncio
import math
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

log = structlog.get_logger()

WINDOW_S = 60

# KEYS: state (hash: epoch, pause), buckets (hash: '<second>r', '<second>t'), leases (zset of slots by their end, ms)
# ARGV: slot, tokens, requests a minute, tokens a minute, concurrency, lease (ms), epoch known, quarantine (ms)
# Returns {ms to wait, 0 = admitted; the epoch; the bucket}
TAKE = """
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000 + math.floor(tonumber(clock[2]) / 1000)
local tokens, rpm, tpm = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('HSETNX', KEYS[1], 'epoch', now)
local epoch, pause = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'pause'))
pause = tonumber(pause or 0)
if ARGV[7] ~= '' and ARGV[7] ~= epoch then
  local clear = tonumber(epoch) + tonumber(ARGV[8])
  if clear > pause then
    pause = clear
    redis.call('HSET', KEYS[1], 'pause', pause)
  end
end
if pause > now then return {pause - now, epoch, second} end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZREM', KEYS[3], ARGV[1])  -- asked before, but the answer was lost
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[5]) then return {-1, epoch, second} end

local used_r, used_t, first = 0, 0, second
local stored = redis.call('HGETALL', KEYS[2])
for i = 1, #stored, 2 do
  local field = stored[i]
  local at = tonumber(string.sub(field, 1, -2))
  if at < second - WINDOW_S then
    redis.call('HDEL', KEYS[2], field)
  else
    local amount = tonumber(stored[i + 1])
    if string.sub(field, -1) == 'r' then used_r = used_r + amount else used_t = used_t + amount end
    if amount > 0 and at < first then first = at end
  end
end
if (rpm > 0 and used_r + 1 > rpm) or (tpm > 0 and used_t + tokens > tpm) then
  return {math.max((first + WINDOW_S + 1) * 1000 - now, 1), epoch, second}
end
redis.call('HINCRBY', KEYS[2], second .. 'r', 1)
redis.call('HINCRBY', KEYS[2], second .. 't', tokens)
redis.call('EXPIRE', KEYS[2], WINDOW_S + 2)
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[6]), ARGV[1])
return {0, epoch, second}
""".replace("WINDOW_S", str(WINDOW_S))

# KEYS: buckets, leases. ARGV: slot, bucket, tokens to add (may be negative)
GIVE_BACK = """
redis.call('ZREM', KEYS[2], ARGV[1])
local field = ARGV[2] .. 't'
if redis.call('HEXISTS', KEYS[1], field) == 1 then redis.call('HINCRBY', KEYS[1], field, ARGV[3]) end
"""

# KEYS: state. ARGV: ms
PAUSE = """
local clock = redis.call('TIME')
local till = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) + tonumber(ARGV[1])
local pause = tonumber(redis.call('HGET', KEYS[1], 'pause') or 0)
if till > pause then redis.call('HSET', KEYS[1], 'pause', till) end
"""


@dataclass(slots=True)
class Slot:
    """A place for one call; tell `used` how many tokens it took, else the estimate stands."""

    id: str
    bucket: int
    estimate: int
    used: int | None = None


class Limits:
    """The limits of the provider called `name`. Every worker must be given the same numbers."""

    def __init__(
        self,
        redis: Redis,
        name: str,
        *,
        concurrency: int,
        lease_s: float,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        """`lease_s` must be longer than any call."""
        self._redis = redis
        self._keys = [f"linework:limits:{name}:{part}" for part in ("state", "minute", "slots")]
        self._requests = requests_per_minute or 0
        self._tokens = tokens_per_minute or 0
        self._concurrency = concurrency
        self._lease_s = lease_s
        # In one process the next call takes over at once; only between processes does it have to ask again and again
        self._here = asyncio.Semaphore(concurrency)
        self._epoch = ""
        self._take = redis.register_script(TAKE)
        self._give_back = redis.register_script(GIVE_BACK)
        self._pause = redis.register_script(PAUSE)

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncIterator[Slot]:
        """Waits until a call of about `tokens` tokens fits under every limit, and while Redis is away."""
        async with self._here:
            slot = await self._acquire(min(tokens, self._tokens) if self._tokens else tokens)
            try:
                yield slot
            finally:
                await asyncio.shield(self._release(slot))

    async def pause(self, seconds: float) -> None:
        """Nobody calls the provider for so long, as its Retry-After asks."""
        try:
            await self._pause(keys=self._keys[:1], args=[math.ceil(seconds * 1000)])
        except RedisError as error:
            log.warning("pause not told", provider=self._keys[0], error=type(error).__name__)

    async def _acquire(self, tokens: int) -> Slot:
        slot = secrets.token_hex(8)
        while True:
            wait_s, bucket = await self._ask(slot, tokens)
            if wait_s == 0:
                return Slot(slot, bucket, tokens)
            await asyncio.sleep(wait_s)

    async def _ask(self, slot: str, tokens: int) -> tuple[float, int]:
        """Seconds to wait (0: the slot is taken), and the second in which it counts."""
        quarantine_s = max(self._lease_s, WINDOW_S + 1 if self._requests or self._tokens else 0)
        arguments: list[str | int] = [
            slot, tokens, self._requests, self._tokens, self._concurrency,
            math.ceil(self._lease_s * 1000), self._epoch, math.ceil(quarantine_s * 1000),
        ]  # fmt: skip
        try:
            wait_ms, epoch, bucket = await self._take(keys=self._keys, args=arguments)
        except RedisError as error:
            if isinstance(error, ResponseError) and not isinstance(error, NoScriptError):
                raise
            log.warning("waiting for Redis", error=type(error).__name__)
            return random.uniform(0.2, 1.0), 0
        self._epoch = self._epoch or epoch.decode()
        if wait_ms < 0:  # all slots are taken, and nobody knows for how long
            return random.uniform(0.01, 0.05), bucket
        # A little apart, lest all workers come back in the same millisecond
        return (min(wait_ms / 1000, 5.0) + random.uniform(0, 0.02) if wait_ms else 0.0), bucket

    async def _release(self, slot: Slot) -> None:
        correction = 0 if slot.used is None else slot.used - slot.estimate
        try:
            await self._give_back(keys=self._keys[1:], args=[slot.id, slot.bucket, correction])
        except RedisError as error:  # the lease ends by itself
            log.warning("slot not given back", error=type(error).__name__)
