"""Is the gateway alive, and can it do its work? If not, which part is down?"""

import asyncio
from collections.abc import Callable
from typing import Literal

from anyio import CapacityLimiter, fail_after
from anyio.to_thread import run_sync
from fastapi import APIRouter, Response
from pydantic import BaseModel

from linework_api.state import Resources, WithResources
from linework_core.db import is_migrated
from linework_core.errors import Unavailable
from linework_core.queues import get_redis

router = APIRouter(prefix="/health", tags=["health"])
SECONDS = 5.0  # a part that has not answered by then is down


class Liveness(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """`parts` says of each part 'ok' or what is wrong with it."""

    ready: bool
    parts: dict[str, str]


@router.get("/live")
async def live() -> Liveness:  # async: it must answer while every worker thread waits for a database that hangs
    """The process answers."""
    return Liveness()


@router.get("/ready", responses={503: {"model": Readiness, "description": "A part is down; it says which."}})
async def ready(resources: WithResources, response: Response) -> Readiness:
    """Postgres (and its schema), Redis and the embedder answer. All are asked at once."""
    checks = {"postgres": _postgres, "redis": _redis, "embedder": _embedder}
    threads = CapacityLimiter(len(checks))  # of their own: requests may have taken all others
    states = await asyncio.gather(*(_ask(check, resources, threads) for check in checks.values()))
    parts = dict(zip(checks, states, strict=True))
    ok = all(state == "ok" for state in states)
    response.status_code = 200 if ok else 503
    return Readiness(ready=ok, parts=parts)


async def _ask(check: Callable[[Resources], None], resources: Resources, threads: CapacityLimiter) -> str:
    try:
        with fail_after(SECONDS):
            await run_sync(check, resources, abandon_on_cancel=True, limiter=threads)
    except TimeoutError:
        return f"No answer within {SECONDS:.0f} s."
    except Exception as error:  # whatever it is: this part does not work, and that is the answer
        return f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return "ok"


def _postgres(resources: Resources) -> None:
    if not is_migrated(resources.prober):
        raise Unavailable("The database's schema is not at this release's revision.")


def _redis(_: Resources) -> None:
    with get_redis(timeout=2) as client:
        client.ping()


def _embedder(resources: Resources) -> None:
    resources.embedder.ready()
