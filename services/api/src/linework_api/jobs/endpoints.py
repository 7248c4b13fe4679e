"""Routes of jobs."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import PurePath
from typing import Annotated, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import EventSourceResponse, ServerSentEvent

from linework_api import cursors
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.state import Resources, WithResources, WithSession
from linework_core import store
from linework_core.db import transaction
from linework_core.errors import NotFound
from linework_core.http import problems
from linework_core.jobs import service
from linework_core.jobs.service import JobView, State

log = structlog.get_logger()
router = APIRouter(tags=["jobs"], route_class=KeyFirst)
AnyCaller = Annotated[Caller, Depends(needs(None))]
POLL_SECONDS = 0.5
ArtefactName = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00/]+$")]
KINDS = {".png": "image/png", ".md": "text/markdown"}
FILE = {
    "description": "The file.",
    "content": {kind: {} for kind in (*KINDS.values(), "application/octet-stream")},
}
EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"const": "job"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobView"},
        },
    },
}


class JobFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["ingest", "search", "embed", "enrich", "train", "evaluate"] | None = None
    state: State | None = None
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=500, description="`next` of the page before.")


class JobPage(BaseModel):
    jobs: list[JobView]
    next: str | None


@router.get("/jobs", responses=problems(400, 401, 403, 422, 503))
def list_jobs(wanted: Annotated[JobFilter, Query()], session: WithSession, caller: AnyCaller) -> JobPage:
    """Your jobs (an admin's: everyone's), the newest first."""
    after = cursors.decode(wanted.cursor, cursors.PLACE) if wanted.cursor else None
    found = service.page(
        session,
        owner=caller.sees_jobs_of,
        kind=wanted.kind,
        state=wanted.state,
        after=after,
        limit=wanted.limit + 1,
    )
    shown = found[: wanted.limit]
    more = len(found) > len(shown)
    following = cursors.encode(shown[-1].created_at.isoformat(), shown[-1].id) if more else None
    return JobPage(jobs=[JobView.of(job) for job in shown], next=following)


@router.get("/jobs/{job_id}", responses=problems(400, 401, 403, 404, 422, 503))
def read_job(job_id: UUID, session: WithSession, caller: AnyCaller) -> JobView:
    """How far a job is."""
    return JobView.of(service.find(session, job_id, owner=caller.sees_jobs_of))


@router.delete("/jobs/{job_id}", responses=problems(400, 401, 403, 404, 422, 503))
def cancel_job(job_id: UUID, session: WithSession, caller: AnyCaller) -> JobView:
    """Cancel: a waiting job at once, a running one within seconds. What it has done stays done."""
    job = service.find(session, job_id, owner=caller.sees_jobs_of)
    service.cancel(session, job, owner=caller.sees_jobs_of)
    return JobView.of(job)


@router.get(
    "/jobs/{job_id}/artefacts/{name}",
    response_class=Response,
    responses={200: FILE, **problems(400, 401, 403, 404, 422, 503)},
)
async def read_artefact(job_id: UUID, name: ArtefactName, resources: WithResources, caller: AnyCaller) -> Response:
    """A file that a job has made and that its result names, such as the curves of a training."""
    job = await resources.database.run(caller.name, partial(_read, resources, job_id, caller))
    artefacts = (job.result or {}).get("artefacts", {})
    if name not in artefacts:
        raise NotFound(f"The job {job_id} has no such artefact.")
    key = store.artefact_key(artefacts[name])
    content = await resources.pictures.run(caller.name, partial(store.get, resources.store, key))
    return Response(content, media_type=KINDS.get(PurePath(name).suffix, "application/octet-stream"))


@router.get(
    "/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events 'job', each with the job as data, until it has ended.",
            "content": {"text/event-stream": {"itemSchema": EVENT}},
        },
        **problems(400, 401, 403, 404, 422, 503),
    },
)
async def follow_job(
    job_id: UUID, request: Request, resources: WithResources, caller: AnyCaller
) -> EventSourceResponse:
    """A job as it goes on: an event whenever it changes, the last one when it has ended."""
    first = await resources.database.run(caller.name, partial(_read, resources, job_id, caller))
    return EventSourceResponse(_changes(first, resources, caller), ping=15)


def _read(resources: Resources, job_id: UUID, caller: Caller) -> JobView:
    with transaction(resources.engine) as session:
        return JobView.of(service.find(session, job_id, owner=caller.sees_jobs_of))


async def _changes(job: JobView, resources: Resources, caller: Caller) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(job.model_dump_json(), event="job")
    while job.state in service.UNDONE:
        await asyncio.sleep(POLL_SECONDS)
        try:
            now = await resources.database.run(caller.name, partial(_read, resources, job.id, caller), patient=True)
        except NotFound:
            return
        except SQLAlchemyError as error:  # the database may be back before the follower gives up
            log.warning("job_not_read", job_id=str(job.id), error=str(error))
            continue
        if now != job:
            job = now
            yield ServerSentEvent(job.model_dump_json(), event="job")
