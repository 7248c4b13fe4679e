"""Routes of search."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, File, Query, UploadFile

from linework_api.auth import Caller, needs
from linework_api.search import service
from linework_api.search.schemas import SearchAnswer, SearchOptions, SearchRecord, StoredQuery
from linework_api.search.service import SearchService
from linework_api.state import WithResources, WithSession
from linework_core.errors import TooLarge, UnreadableImage
from linework_core.http import problems

router = APIRouter(tags=["search"])
Searcher = Annotated[Caller, Depends(needs("search"))]


@router.get("/search", responses=problems(400, 401, 403, 404, 422, 503))
def search_by_stored(
    query: Annotated[StoredQuery, Query()], session: WithSession, resources: WithResources, caller: Searcher
) -> SearchAnswer:
    """Which drawings look like this drawing, or like those of this patent?"""
    return SearchService(session, resources, caller=caller.name).by_stored(query)


@router.post("/search", responses=problems(400, 401, 403, 413, 422, 503))
def search_by_image(
    image: Annotated[list[UploadFile], File(min_length=1, max_length=7, description="1 to 7 drawings of one design.")],
    options: Annotated[SearchOptions, Query()],
    session: WithSession,
    resources: WithResources,
    caller: Searcher,
) -> SearchAnswer:
    """Which drawings look like these pictures? PNG, JPEG, TIFF, GIF, WebP or BMP."""
    limit = resources.settings.max_query_bytes
    pictures = [read_whole(picture, limit) for picture in image]
    return SearchService(session, resources, caller=caller.name).by_images(pictures, options)


@router.get("/searches/{search_id}", responses=problems(400, 401, 403, 404, 422, 503))
def read_search(search_id: UUID, session: WithSession, caller: Searcher) -> SearchRecord:
    """A search as it was asked and answered; its owner and admins read it."""
    return service.recall(session, search_id, owner=caller.sees_jobs_of)


def read_whole(upload: UploadFile, limit: int) -> bytes:
    """The bytes of an uploaded picture. Raises TooLarge, UnreadableImage where there are none."""
    data = upload.file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"A picture may have {limit:,} bytes.")
    if not data:
        raise UnreadableImage("The picture is empty.")
    return data
