"""Route of ingest."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.ingest import sources
from linework_api.ingest.uploads import PARTS, UploadReader
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.state import Resources, WithResources
from linework_core.db import transaction
from linework_core.errors import TooLarge, Unprocessable, UnsupportedMediaType
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


BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": IngestRequest.model_json_schema()},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    part: {"type": "string", "contentMediaType": "application/octet-stream"} for part in PARTS
                },
            }
        },
    },
}


@router.post("/ingest", status_code=202, responses=ACCEPTED | problems(404), openapi_extra={"requestBody": BODY})
async def ingest(
    request: Request,
    response: Response,
    resources: WithResources,
    caller: Annotated[Caller, Depends(needs("ingest"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Take in patents: a weekly tar, a package (ZIP), or DeepPatent2 JSON, uploaded or by URI."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        params = await _named(request, resources)
        job, _ = await run_in_threadpool(_accept, resources, response, caller, key, params, params)
        return job
    if media_type != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with 'file', or application/json with 'uri'.")
    reader = UploadReader(resources.store, resources.settings.max_upload_bytes)
    uploads = await reader.read(request)
    params = {"uploads": {field: asdict(upload) for field, upload in uploads.items()}}
    asked = {field: [upload.name, upload.sha256] for field, upload in uploads.items()}
    made = False
    try:
        job, made = await run_in_threadpool(_accept, resources, response, caller, key, asked, params)
    finally:
        if not made:  # the request failed, or came again and has its job and its upload already
            await run_in_threadpool(reader.discard)
    return job


async def _named(request: Request, resources: Resources) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON:
            raise TooLarge(f"The JSON body may have {MAX_JSON:,} bytes.")
    try:
        wanted = IngestRequest.model_validate_json(body)
    except ValidationError as error:
        faults = [{"where": ".".join(map(str, f["loc"])) or "body", "what": f["msg"]} for f in error.errors()]
        detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults)
        raise Unprocessable(detail, errors=faults) from None
    roots = resources.settings.ingest_roots
    for uri in (wanted.uri, wanted.images):
        if uri is not None:
            await run_in_threadpool(sources.resolve, uri, roots)
    return wanted.model_dump(exclude_none=True)


def _accept(
    resources: Resources,
    response: Response,
    caller: Caller,
    key: str | None,
    asked: Any,
    params: dict[str, Any],
) -> tuple[JobView, bool]:
    """The job, and whether it was made now."""
    with transaction(resources.engine) as session:
        made = []

        def make() -> Job:
            made.append(jobs.create(session, "ingest", params, owner=caller.name))
            return made[0]

        return accept(session, response, caller, key, {"ingest": asked}, make), bool(made)
