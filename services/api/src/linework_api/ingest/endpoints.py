"""Route of ingest."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from linework_api import bodies
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.ingest import sources
from linework_api.ingest.uploads import PARTS, UploadReader
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept_now, accept_upload
from linework_api.state import Resources, WithResources
from linework_core.errors import UnsupportedMediaType
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Job

router = APIRouter(tags=["ingest"], route_class=KeyFirst)
MAX_JSON = 64 * 2**10
# the pattern is for readers of the schema: `resolve` says better what is wrong
URI = {"pattern": r"^(file://(localhost)?/|s3://[^/?#\x00]+)[^?#\x00]*$"}
Uri = Annotated[str, Field(min_length=1, max_length=2000, json_schema_extra={**URI})]


class IngestRequest(BaseModel):
    """Something to ingest that lies under a root which the operator has allowed."""

    model_config = ConfigDict(extra="forbid")

    uri: Uri = Field(description="A package, a tar, a JSON, a folder.")
    images: Uri | None = Field(None, description="Where a JSON's images are: tar or folder.")
    restore: bool = Field(False, description="Load withdrawn patents again; without it they are skipped.")


@router.post(
    "/ingest",
    status_code=202,
    responses=ACCEPTED | problems(404),
    openapi_extra=bodies.described(IngestRequest, *PARTS),
)
async def ingest(
    request: Request,
    response: Response,
    resources: WithResources,
    caller: Annotated[Caller, Depends(needs("ingest"))],
    restore: Annotated[bool, Query(description="Load withdrawn patents again, of an upload or by URI.")] = False,
    key: IdempotencyHeader = None,
) -> JobView:
    """Take in patents: a weekly tar, a package (ZIP), or DeepPatent2 JSON, uploaded or by URI."""
    media_type = bodies.media_type(request)
    restoring = {"restore_withdrawn": True} if restore else {}
    if media_type == "application/json":
        params = await _named(request, resources) | restoring
        make = partial(_job, params, caller)
        asked = {"ingest": params}
        accept = partial(accept_now, resources, response, caller, key, asked, make)
        return (await resources.database.run(caller.name, accept))[0]
    if media_type != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with 'file', or application/json with 'uri'.")
    reader = UploadReader(resources.store, resources.settings.max_upload_bytes)
    uploads = await reader.read(request)
    stored = {field: asdict(upload) for field, upload in uploads.items()}
    make = partial(_job, {"uploads": stored, **restoring}, caller)
    told: dict[str, Any] = {
        "ingest": {field: [upload.name, upload.sha256] for field, upload in uploads.items()},
        **restoring,
    }
    return await accept_upload(reader, resources, response, caller, key, told, make)


def _job(params: dict[str, Any], caller: Caller, session: Session) -> Job:
    return jobs.create(session, "ingest", params, owner=caller.name)


async def _named(request: Request, resources: Resources) -> dict[str, Any]:
    wanted = await bodies.read_json(request, IngestRequest, MAX_JSON)
    roots = resources.settings.ingest_roots
    for uri in (wanted.uri, wanted.images):
        if uri is not None:
            await run_in_threadpool(sources.resolve, uri, roots)
    restoring = {"restore_withdrawn": True} if wanted.restore else {}
    return wanted.model_dump(exclude_none=True, exclude={"restore"}) | restoring
