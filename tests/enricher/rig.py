"""Providers and limits as tests need them: quick to try again, and on the test's own servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis

from linework_core.settings import ProviderSettings
from linework_enricher.chat import ChatRequest
from linework_enricher.circuit import Circuit
from linework_enricher.limits import Limits
from linework_enricher.provider import OpenAIProvider

KEY = "sk-test-0123456789abcdef"
SCHEMA = {
    "type": "object",
    "properties": {
        "texts": {
            "type": "array",
            "items": {"type": "object", "properties": {"text": {"type": "string"}, "language": {"type": "string"}}},
        }
    },
}


def asking(what: str = "light device", **options: Any) -> ChatRequest:
    """A request for five texts about an object."""
    messages = (
        {"role": "system", "content": "You describe drawings of designs."},
        {"role": "user", "content": f'Write 5 texts. Facts: {{"object": "{what}"}}'},
    )
    return ChatRequest(**{"messages": messages, "schema": SCHEMA, "max_tokens": 200, **options})


async def until(condition: Callable[[], object]) -> None:
    """Returns when the condition holds; fails after ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


@asynccontextmanager
async def provided(
    url: str, redis_url: str, *, key: str | None = KEY, patience_s: float = 20.0, tries: int = 4, **settings: Any
) -> AsyncIterator[OpenAIProvider]:
    """A provider that pauses for milliseconds, with the settings given."""
    given = ProviderSettings(**{"url": url, "model": "stub-1", "timeout_s": 5.0, "concurrency": 8, **settings})
    async with Redis.from_url(redis_url) as redis:
        limits = Limits(
            redis,
            "test",
            concurrency=given.concurrency,
            lease_s=given.timeout_s + 5,
            requests_per_minute=given.requests_per_minute,
            tokens_per_minute=given.tokens_per_minute,
        )
        provider = OpenAIProvider(
            given,
            limits,
            key=SecretStr(key) if key else None,
            circuit=Circuit("stub", failures=5, first_pause_s=0.2),
            tries=tries,
            backoff_s=0.02,
            patience_s=patience_s,
        )
        try:
            yield provider
        finally:
            await provider.close()
