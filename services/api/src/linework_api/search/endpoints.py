"""Routes of search."""

from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from sqlalchemy.orm import Session

from linework_api.admission import RoomFirst
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept_now
from linework_api.one_hop import as_json
from linework_api.patents import service as patents
from linework_api.queries import documented, from_query
from linework_api.search import exports, records, repository, sharing, titles
from linework_api.search.embedding import searched
from linework_api.search.pictures import read_pictures
from linework_api.search.repository import Shown
from linework_api.search.schemas import (
    Cluster,
    ClusterOptions,
    Clusters,
    ImageForm,
    ImageOptions,
    Replay,
    SearchAnswer,
    SearchRecord,
    StoredQuery,
    TitleOptions,
)
from linework_api.search.service import SearchService
from linework_api.spending import within_quota
from linework_api.state import Resources, SearchResources, WithResources, WithSession
from linework_core.cluster_titles import Subject
from linework_core.db import one_by_one, transaction
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Job

router = APIRouter(tags=["search"], route_class=KeyFirst)
pictures = APIRouter(tags=["search"], route_class=RoomFirst)
Searcher = Annotated[Caller, Depends(needs("search"))]
Searching = Annotated[Caller, Depends(needs("search", search=True))]  # counts as one of the day
READ = problems(400, 401, 403, 404, 410, 422, 503)
FILE = {"schema": {"type": "string", "format": "binary"}}
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {exports.MEDIA_TYPES["csv"]: FILE, exports.MEDIA_TYPES["xlsx"]: FILE},
        "model": SearchRecord,  # as JSON
    }
}


@router.get(
    "/search", responses=READ | problems(410), response_model=SearchAnswer, openapi_extra=documented(StoredQuery)
)
async def search_by_stored(
    query: Annotated[StoredQuery, Depends(from_query(StoredQuery))],
    request: Request,
    resources: WithResources,
    caller: Searching,
) -> Response:
    """Which drawings look like this drawing or patent, or are what these words say?"""

    def answered(own: SearchResources) -> Response:
        with one_by_one(own.engine) as session:
            service = SearchService(session, own, caller=caller.name, cursor=query.cursor)
            return as_json(service.by_stored(query))

    return await searched(resources, caller, answered, left=request.is_disconnected)


@pictures.post(
    "/search",
    responses=problems(400, 401, 403, 404, 408, 410, 413, 422, 503),
    response_model=SearchAnswer,
    openapi_extra=documented(ImageOptions),
)
async def search_by_image(
    form: Annotated[ImageForm, Form()],
    options: Annotated[ImageOptions, Depends(from_query(ImageOptions))],
    request: Request,
    resources: WithResources,
    caller: Searching,
) -> Response:
    """Which drawings look like these pictures? PNG, JPEG, TIFF, GIF, WebP or BMP."""
    drawings = await read_pictures(resources, request, form, caller.name)  # no thread or connection waits for it

    def answered(own: SearchResources) -> Response:
        with one_by_one(own.engine) as session:
            service = SearchService(session, own, caller=caller.name, cursor=options.cursor)
            return as_json(service.by_images(drawings, form, options))

    return await searched(resources, caller, answered, left=request.is_disconnected)


@router.get("/searches/{search_id}", responses=READ)
def read_search(search_id: UUID, session: WithSession, caller: Searcher) -> SearchRecord:
    """A search as it was asked and answered; its owner, admins and those it is shared with read it."""
    return records.read(session, sharing.find_readable(session, search_id, caller))


@router.post("/searches/{search_id}/replay", responses=READ)
def replay_search(search_id: UUID, session: WithSession, caller: Searcher) -> Replay:
    """Run a search again on the corpus as it was, exactly, and say whether the answer is the same."""
    return records.replay(session, sharing.find_readable(session, search_id, caller))


@router.get("/searches/{search_id}/export", response_class=Response, responses=EXPORTED | READ)
async def export_search(
    search_id: UUID,
    resources: WithResources,
    caller: Searcher,
    format: Annotated[Literal["csv", "xlsx", "json"], Query()] = "csv",  # the parameter's public name
) -> Response:
    """A search as a file; XLSX has the drawings' pictures in it."""

    def read() -> tuple[SearchRecord, dict[str, Shown]]:
        with transaction(resources.engine) as session:
            kept = sharing.find_readable(session, search_id, caller)
            drawings = repository.details(session, kept.rows).values() if format == "xlsx" else ()
            return records.read(session, kept), {shown.drawing_id: shown for shown in drawings}

    record, drawings = await resources.database.run(caller.name, read)

    def written() -> bytes:
        if format == "xlsx":
            return exports.to_xlsx(
                record,
                lambda name: patents.read_image(resources, drawings[name], exports.THUMBNAIL, caller=caller.name),
            )
        return exports.to_csv(record) if format == "csv" else exports.to_json(record)

    content = await resources.computing.run(caller.name, written)
    name = f'attachment; filename="search-{search_id}.{format}"'
    return Response(content, media_type=exports.MEDIA_TYPES[format], headers={"Content-Disposition": name})


@router.get("/searches/{search_id}/clusters", responses=READ)
async def cluster_search(
    search_id: UUID, resources: WithResources, caller: Searcher, wanted: Annotated[ClusterOptions, Query()]
) -> Clusters:
    """The hits put together by likeness, each group with its keywords, and its title once one has been written."""
    made, subjects = await _clustered(search_id, resources, caller, wanted)

    def named() -> list[Cluster]:
        with transaction(resources.engine) as session:
            return titles.named(session, made, subjects)

    clusters = await resources.database.run(caller.name, named)
    return Clusters(search_id=search_id, k=len(made), clusters=clusters)


@router.post("/searches/{search_id}/clusters/titles", status_code=202, responses=ACCEPTED | problems(404, 410))
async def title_clusters(
    search_id: UUID,
    resources: WithResources,
    response: Response,
    caller: Annotated[Caller, Depends(needs("enrich"))],
    wanted: Annotated[TitleOptions, Query()],
    key: IdempotencyHeader = None,
) -> JobView:
    """Have the clusters named: a title and a summary each, from up to five pictures, keywords and the query.

    Ask for the same clusters (`k`, `top`) afterwards. What has been named before is named again for nothing.
    """
    _, subjects = await _clustered(search_id, resources, caller, wanted)

    def make(session: Session) -> Job:
        params = titles.job_params(subjects, wanted.provider, resources.settings)
        params = within_quota(session, caller, params, resources.settings)
        return jobs.create(session, "enrich", params, owner=caller.name)

    request = {"titles": str(search_id), **wanted.model_dump()}
    accept = partial(accept_now, resources, response, caller, key, request, make)
    return (await resources.database.run(caller.name, accept))[0]


async def _clustered(
    search_id: UUID, resources: Resources, caller: Caller, wanted: ClusterOptions
) -> tuple[list[Cluster], list[Subject]]:
    """The clusters and what each is named by: read with a connection, grouped without one."""

    def read() -> titles.Material:
        with transaction(resources.engine) as session:
            return titles.material(session, sharing.find_readable(session, search_id, caller), wanted)

    material = await resources.database.run(caller.name, read)
    return await resources.computing.run(caller.name, partial(titles.clustered, material, wanted.k))
