"""Is the gateway alive, and can it do its work? If not, which part is down?"""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from linework_api.readiness import Readiness
from linework_api.state import WithResources

router = APIRouter(prefix="/health", tags=["health"])


class Liveness(BaseModel):
    status: Literal["alive"] = "alive"


@router.get("/live")
async def live() -> Liveness:  # async: it must answer while every worker thread waits for a database that hangs
    """The process answers."""
    return Liveness()


@router.get("/ready", responses={503: {"model": Readiness, "description": "A part is down; it says which."}})
async def ready(resources: WithResources, response: Response) -> Readiness:
    """Postgres (and its schema), Redis and the embedder answer, as was measured a second ago at most."""
    readiness = await resources.parts.readiness()
    response.status_code = 200 if readiness.ready else 503
    return readiness
