"""Is the gateway alive, and can it do its work? If not, which part is down?"""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from linework_api.state import Resources, WithResources
from linework_core.db import is_migrated
from linework_core.errors import Unavailable
from linework_core.queues import get_redis

router = APIRouter(prefix="/health", tags=["health"])


class Liveness(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """`parts` says of each part 'ok' or what is wrong with it."""

    ready: bool
    parts: dict[str, str]


@router.get("/live")
def live() -> Liveness:
    """The process answers."""
    return Liveness()


@router.get("/ready", responses={503: {"model": Readiness, "description": "A part is down; it says which."}})
def ready(resources: WithResources, response: Response) -> Readiness:
    """Postgres (and its schema), Redis and the embedder answer."""
    checks: dict[str, Callable[[Resources], None]] = {
        "postgres": _postgres,
        "redis": _redis,
        "embedder": _embedder,
    }
    parts = {name: _ask(check, resources) for name, check in checks.items()}
    ok = all(state == "ok" for state in parts.values())
    response.status_code = 200 if ok else 503
    return Readiness(ready=ok, parts=parts)


def _ask(check: Callable[[Resources], None], resources: Resources) -> str:
    try:
        check(resources)
    except Exception as error:  # whatever it is: this part does not work, and that is the answer
        return f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return "ok"


def _postgres(resources: Resources) -> None:
    if not is_migrated(resources.engine):
        raise Unavailable("The database's schema is not at this release's revision.")


def _redis(_: Resources) -> None:
    get_redis(timeout=2).ping()


def _embedder(resources: Resources) -> None:
    resources.embedder.ready()
