"""Routes of jobs."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from linework_api import cursors
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.watching import JobWatch
from linework_api.state import Resources, WithResources, WithSession
from linework_core import store
from linework_core.db import transaction
from linework_core.errors import NotFound, Unauthorized
from linework_core.http import problem_of, problems
from linework_core.jobs import service
from linework_core.jobs.service import JobView, State

router = APIRouter(tags=["jobs"], route_class=KeyFirst)
AnyCaller = Annotated[Caller, Depends(needs(None))]
ArtefactName = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00/]+$")]
KINDS = {".png": "image/png", ".md": "text/markdown"}
FILE = {
    "description": "The file.",
    "content": {kind: {} for kind in (*KINDS.values(), "application/octet-stream")},
}


def _event(name: str, schema: str) -> dict[str, Any]:
    content = {"contentMediaType": "application/json", "contentSchema": {"$ref": f"#/components/schemas/{schema}"}}
    properties = {"event": {"const": name}, "data": {"type": "string", **content}}
    return {"type": "object", "required": ["event", "data"], "properties": properties}


EVENT = {"oneOf": [_event("job", "JobView"), _event("refused", "Problem")]}


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
            "description": "Server-sent events 'job', each with the job as data, until it has ended. "
            "A key that is revoked or expires meanwhile ends it with one event 'refused'.",
            "content": {"text/event-stream": {"itemSchema": EVENT}},
        },
        **problems(400, 401, 403, 404, 422, 503),
    },
)
async def follow_job(job_id: UUID, resources: WithResources, caller: AnyCaller) -> EventSourceResponse:
    """A job as it goes on: an event whenever it changes, the last one when it has ended."""
    first = await resources.database.run(caller.name, partial(_read, resources, job_id, caller))
    return EventSourceResponse(_events(first, resources.watch, caller), ping=15)


async def _events(first: JobView, watch: JobWatch, caller: Caller) -> AsyncIterator[ServerSentEvent]:
    try:
        async for job in watch.follow(first, caller.key_id):
            yield ServerSentEvent(job.model_dump_json(), event="job")
    except Unauthorized as refusal:
        yield ServerSentEvent(json.dumps(problem_of(refusal)), event="refused")


def _read(resources: Resources, job_id: UUID, caller: Caller) -> JobView:
    with transaction(resources.engine) as session:
        return JobView.of(service.find(session, job_id, owner=caller.sees_jobs_of))
