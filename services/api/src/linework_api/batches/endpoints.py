"""Routes of batch searches."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from anyio import from_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from linework_api import bodies, cursors
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.batches import exports, results
from linework_api.batches.making import Batch
from linework_api.batches.schemas import BatchOptions, BatchPage, BatchPageOptions, BatchRequest
from linework_api.ingest.uploads import UploadReader
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept_now, accept_upload
from linework_api.queries import documented, from_query
from linework_api.search.exports import MEDIA_TYPES
from linework_api.search.schemas import EncoderName
from linework_api.state import Resources, WithResources, WithSession
from linework_core.errors import UnsupportedMediaType
from linework_core.http import MAX_BODY, problems
from linework_core.jobs.service import JobView
from linework_core.tables import Encoder

router = APIRouter(tags=["search"], route_class=KeyFirst)
Searcher = Annotated[Caller, Depends(needs("search"))]
READ = problems(400, 401, 403, 404, 422, 503)
CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {MEDIA_TYPES["csv"]: {"schema": {"type": "string"}}}}
}


@router.post(
    "/search/batch",
    status_code=202,
    responses=ACCEPTED,
    openapi_extra=bodies.described(BatchRequest, "file") | documented(BatchOptions),
)
async def search_batch(
    request: Request,
    response: Response,
    resources: WithResources,
    caller: Searcher,
    options: Annotated[BatchOptions, Depends(from_query(BatchOptions))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Search by many patents, or by every picture of a ZIP or tar; each query counts as a search of the day.

    `GET /search/batch/{id}`, with the job's id, reads what was found.
    """
    kind = bodies.media_type(request)
    if kind not in ("application/json", "multipart/form-data"):
        raise UnsupportedMediaType("Send JSON with 'patents' or 'granted', or multipart/form-data with 'file'.")
    batch = Batch(resources, options, caller.name, partial(_take, resources, caller))
    asked: dict[str, Any] = {"batch": options.model_dump(mode="json")}
    if kind == "application/json":
        wanted = await bodies.read_json(request, BatchRequest, MAX_BODY)
        asked |= wanted.model_dump(mode="json")
        make = partial(batch.of_patents, wanted)
        accept = partial(accept_now, resources, response, caller, key, asked, make)
        return (await resources.database.run(caller.name, accept))[0]
    batch.check_for_pictures()
    reader = UploadReader(resources.store, resources.settings.max_upload_bytes, ("file",))
    upload = (await reader.read(request))["file"]
    asked |= {"file": [upload.name, upload.sha256]}
    names = await reader.used_by(resources.pictures.run(caller.name, partial(batch.names_in, upload)))
    make = partial(batch.of_pictures, upload, names)
    return await accept_upload(reader, resources, response, caller, key, asked, make)


def _take(resources: Resources, caller: Caller, number: int) -> None:
    """Count the searches of a batch; for a thread, since what counts them belongs to the event loop."""
    from_thread.run(resources.rates.take_searches, caller.name, caller.searches_per_day, number)


@router.get("/search/batch/{job_id}", responses=READ)
def read_batch(
    job_id: UUID, session: WithSession, caller: Searcher, wanted: Annotated[BatchPageOptions, Query()]
) -> BatchPage:
    """The queries of a batch with their answers, a page at a time; its owner and admins read it, also while it runs."""
    job, params = results.find(session, job_id, owner=caller.sees_jobs_of)
    after = results.position(wanted.cursor, job_id) if wanted.cursor else 0
    found = results.answers(session, job_id, params, after=after, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    encoder = session.get_one(Encoder, params.encoder)
    return BatchPage(
        job=JobView.of(job),
        snapshot=params.snapshot,
        encoder=EncoderName(id=encoder.encoder_id, name=encoder.name),
        queries=shown,
        next=cursors.encode(job_id, shown[-1].ordinal) if len(found) > len(shown) else None,
    )


@router.get("/search/batch/{job_id}/export", response_class=StreamingResponse, responses=CSV | READ)
async def export_batch(job_id: UUID, resources: WithResources, caller: Searcher) -> StreamingResponse:
    """All of it as CSV: a line for each hit, and one for each query without any."""
    page = partial(exports.page, resources.engine, job_id, owner=caller.sees_jobs_of)
    first = await resources.database.run(caller.name, partial(page, after=0))

    async def pages() -> AsyncIterator[bytes]:
        """Each page takes a place of its own: memory holds one page, and no connection waits for the client."""
        yield exports.head()
        lines, after = first
        yield lines
        while after is not None:
            lines, after = await resources.database.run(caller.name, partial(page, after=after), patient=True)
            yield lines

    name = f'attachment; filename="batch-{job_id}.csv"'
    return StreamingResponse(pages(), media_type=MEDIA_TYPES["csv"], headers={"Content-Disposition": name})
