"""Routes of search."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Response, UploadFile

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.patents import service as patents
from linework_api.queries import documented, from_query
from linework_api.search import exports, records, repository, titles
from linework_api.search.schemas import (
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
from linework_api.search.service import SearchService, decode
from linework_api.spending import within_quota
from linework_api.state import WithResources, WithSession
from linework_core.db import one_by_one
from linework_core.errors import TooLarge, UnreadableImage
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Job

router = APIRouter(tags=["search"], route_class=KeyFirst)
Searcher = Annotated[Caller, Depends(needs("search"))]
Searching = Annotated[Caller, Depends(needs("search", search=True))]  # counts as one of the day
READ = problems(400, 401, 403, 404, 422, 503)
FILE = {"schema": {"type": "string", "format": "binary"}}
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {exports.MEDIA_TYPES["csv"]: FILE, exports.MEDIA_TYPES["xlsx"]: FILE},
        "model": SearchRecord,  # as JSON
    }
}


@router.get("/search", responses=READ, response_model=SearchAnswer, openapi_extra=documented(StoredQuery))
def search_by_stored(
    query: Annotated[StoredQuery, Depends(from_query(StoredQuery))], resources: WithResources, caller: Searching
) -> Response:
    """Which drawings look like this drawing or patent, or are what these words say?"""
    with one_by_one(resources.engine) as session:
        return _written(SearchService(session, resources, caller=caller.name, cursor=query.cursor).by_stored(query))


@router.post("/search", responses=problems(400, 401, 403, 404, 413, 422, 503), response_model=SearchAnswer)
def search_by_image(
    form: Annotated[ImageForm, Form()],
    options: Annotated[ImageOptions, Query()],
    resources: WithResources,
    caller: Searching,
) -> Response:
    """Which drawings look like these pictures? PNG, JPEG, TIFF, GIF, WebP or BMP."""
    limit = resources.settings.max_query_bytes
    decoded = decode(resources, [read_whole(picture, limit) for picture in form.image], form)
    with one_by_one(resources.engine) as session:
        service = SearchService(session, resources, caller=caller.name, cursor=options.cursor)
        return _written(service.by_images(decoded, form, options))


def _written(answer: SearchAnswer) -> Response:
    """An answer as JSON. It was validated when it was made; the framework would do so again."""
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/searches/{search_id}", responses=READ)
def read_search(search_id: UUID, session: WithSession, caller: Searcher) -> SearchRecord:
    """A search as it was asked and answered; its owner and admins read it."""
    return records.read(session, records.find(session, search_id, owner=caller.sees_jobs_of))


@router.post("/searches/{search_id}/replay", responses=READ)
def replay_search(search_id: UUID, session: WithSession, caller: Searcher) -> Replay:
    """Run a search again on the corpus as it was, exactly, and say whether the answer is the same."""
    return records.replay(session, records.find(session, search_id, owner=caller.sees_jobs_of))


@router.get("/searches/{search_id}/export", response_class=Response, responses=EXPORTED | READ)
def export_search(
    search_id: UUID,
    session: WithSession,
    resources: WithResources,
    caller: Searcher,
    format: Annotated[Literal["csv", "xlsx", "json"], Query()] = "csv",  # the parameter's public name
) -> Response:
    """A search as a file; XLSX has the drawings' pictures in it."""
    kept = records.find(session, search_id, owner=caller.sees_jobs_of)
    record = records.read(session, kept)
    if format == "xlsx":
        drawings = {shown.drawing_id: shown for shown in repository.details(session, kept.rows).values()}

        def thumbnail(drawing_id: str) -> bytes:
            return patents.read_image(resources, drawings[drawing_id], exports.THUMBNAIL)

        content = exports.to_xlsx(record, thumbnail)
    else:
        content = exports.to_csv(record) if format == "csv" else exports.to_json(record)
    name = f'attachment; filename="search-{search_id}.{format}"'
    return Response(content, media_type=exports.MEDIA_TYPES[format], headers={"Content-Disposition": name})


@router.get("/searches/{search_id}/clusters", responses=READ)
def cluster_search(
    search_id: UUID, session: WithSession, caller: Searcher, wanted: Annotated[ClusterOptions, Query()]
) -> Clusters:
    """The hits put together by likeness, each group with its keywords, and its title once one has been written."""
    kept = records.find(session, search_id, owner=caller.sees_jobs_of)
    made, subjects = titles.clustered(session, kept, wanted)
    return Clusters(search_id=search_id, k=len(made), clusters=titles.named(session, made, subjects))


@router.post("/searches/{search_id}/clusters/titles", status_code=202, responses=ACCEPTED | problems(404))
def title_clusters(
    search_id: UUID,
    session: WithSession,
    resources: WithResources,
    response: Response,
    caller: Annotated[Caller, Depends(needs("enrich"))],
    wanted: Annotated[TitleOptions, Query()],
    key: IdempotencyHeader = None,
) -> JobView:
    """Have the clusters named: a title and a summary each, from up to five pictures, keywords and the query.

    Ask for the same clusters (`k`, `top`) afterwards. What has been named before is named again for nothing.
    """
    kept = records.find(session, search_id, owner=caller.sees_jobs_of)

    def make() -> Job:
        _, subjects = titles.clustered(session, kept, wanted)
        params = titles.job_params(subjects, wanted.provider, resources.settings)
        params = within_quota(session, caller, params, resources.settings)
        return jobs.create(session, "enrich", params, owner=caller.name)

    request = {"titles": str(search_id), **wanted.model_dump()}
    return accept(session, response, caller, key, request, make)


def read_whole(upload: UploadFile, limit: int) -> bytes:
    """The bytes of an uploaded picture. Raises TooLarge, UnreadableImage where there are none."""
    data = upload.file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"A picture may have {limit:,} bytes.")
    if not data:
        raise UnreadableImage("The picture is empty.")
    return data
