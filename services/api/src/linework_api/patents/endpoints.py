"""Routes of patents and drawings."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.patents import service
from linework_api.patents.schemas import DrawingView, PatentView
from linework_api.state import WithResources, WithSession
from linework_core.http import problems
from linework_core.imaging import LONG_SIDE
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView

router = APIRouter(tags=["patents"], route_class=KeyFirst)
READ = problems(400, 401, 403, 404, 410, 422, 503)
Searcher = Annotated[Caller, Depends(needs("search"))]
Id = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]
AtSnapshot = Annotated[
    int | None, Query(ge=0, lt=2**63, description="As it was at this snapshot; by default, as it is now.")
]
# facts may be corrected at any time, so a copy is asked about before it is used again
REVALIDATE = "private, no-cache"


class Cached:
    """What a copy is known by: an ETag, to be asked about before the copy is used again."""

    def __init__(self, tag: str) -> None:
        self.etag = f'"{tag}"'
        self.headers = {"ETag": self.etag, "Cache-Control": REVALIDATE}

    def is_known(self, if_none_match: str | None) -> bool:
        known = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
        return bool(known & {self.etag, "*"})

    def not_modified(self) -> Response:
        return Response(status_code=304, headers=self.headers)


@router.get("/patents/{patent_id}", responses=READ | {304: {"description": "Not changed."}})
def read_patent(
    patent_id: Id,
    session: WithSession,
    response: Response,
    _: Searcher,
    snapshot: AtSnapshot = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> PatentView:
    """A patent as it stands now, or stood at a snapshot."""
    patent = service.find_patent(session, patent_id, snapshot)
    cached = Cached(f"{patent.digest[:32]}-{patent.added_in}")
    if cached.is_known(if_none_match):
        return cached.not_modified()  # type: ignore[return-value]
    response.headers.update(cached.headers)
    return service.read_patent(session, patent)


@router.get("/drawings/{drawing_id}", responses=READ | {304: {"description": "Not changed."}})
def read_drawing(
    drawing_id: Id,
    session: WithSession,
    response: Response,
    _: Searcher,
    snapshot: AtSnapshot = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> DrawingView:
    """A drawing, with its figure where that is certain."""
    drawing = service.find_drawing(session, drawing_id, snapshot)
    cached = Cached(f"drawing-{drawing.row_id}")  # a version never changes
    if cached.is_known(if_none_match):
        return cached.not_modified()  # type: ignore[return-value]
    response.headers.update(cached.headers)
    return service.read_drawing(session, drawing)


@router.get(
    "/drawings/{drawing_id}/image",
    response_class=Response,
    responses=READ
    | {
        200: {
            "description": "PNG.",
            "content": {"image/png": {}},
        },
        304: {"description": "Not changed."},
    },
)
async def read_image(
    drawing_id: Id,
    resources: WithResources,
    caller: Searcher,
    size: Annotated[int | None, Query(ge=16, le=4096, description="Long side in pixels; never enlarged.")] = None,
    snapshot: AtSnapshot = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The drawing's picture: greyscale on white, its long side 512 pixels or `size`."""
    drawing, cut = await resources.database.run(
        caller.name, partial(service.pictured, resources.engine, drawing_id, snapshot)
    )
    large = size is not None and size > LONG_SIDE
    # a sheet has the original of each of its drawings, so it alone does not tell their pictures apart
    source = f"{drawing.original[:32]}-{drawing.derivative[:32]}" if large else drawing.derivative[:32]
    cached = Cached(f"{source}-{size or LONG_SIDE}")
    if cached.is_known(if_none_match):
        return cached.not_modified()
    read = partial(service.read_image, resources, drawing, size, cut, caller=caller.name)
    return Response(await resources.pictures.run(caller.name, read), media_type="image/png", headers=cached.headers)


@router.delete("/patents/{patent_id}", status_code=202, responses=ACCEPTED | problems(404, 410))
def withdraw_patent(
    patent_id: Id,
    session: WithSession,
    response: Response,
    caller: Annotated[Caller, Depends(needs("ingest"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Withdraw a patent: later searches do not find it, earlier snapshots still hold it."""
    params = {"withdraw": service.find_patent(session, patent_id).patent_id}
    return accept(
        session,
        response,
        caller,
        key,
        params,
        lambda: jobs.create(session, "ingest", params, owner=caller.name),
    )
