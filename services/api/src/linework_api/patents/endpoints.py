"""Routes of patents and drawings."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from linework_api.auth import Caller, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.patents import service
from linework_api.patents.schemas import DrawingView, PatentView
from linework_api.state import WithResources, WithSession
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView

router = APIRouter(tags=["patents"])
READ = problems(400, 401, 403, 404, 422, 503)
Searcher = Annotated[Caller, Depends(needs("search"))]
Id = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]
# facts may be corrected at any time, so a copy is asked about before it is used again
REVALIDATE = "private, no-cache"


@router.get("/patents/{patent_id}", responses=READ | {304: {"description": "Not changed."}})
def read_patent(
    patent_id: Id,
    session: WithSession,
    response: Response,
    _: Searcher,
    if_none_match: Annotated[str | None, Header()] = None,
) -> PatentView:
    """A patent as it stands now."""
    patent = service.find_patent(session, patent_id)
    if (unchanged := _revalidate(response, patent.digest[:32] + f"-{patent.added_in}", if_none_match)) is not None:
        return unchanged  # type: ignore[return-value]
    return service.read_patent(session, patent_id)


@router.get("/drawings/{drawing_id}", responses=READ)
def read_drawing(drawing_id: Id, session: WithSession, response: Response, _: Searcher) -> DrawingView:
    """A drawing, with its figure where that is certain."""
    response.headers["Cache-Control"] = REVALIDATE
    return service.read_drawing(session, drawing_id)


@router.get(
    "/drawings/{drawing_id}/image",
    response_class=Response,
    responses=READ
    | {
        200: {
            "description": "PNG.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "Not changed."},
    },
)
def read_image(
    drawing_id: Id,
    session: WithSession,
    resources: WithResources,
    _: Searcher,
    size: Annotated[int | None, Query(ge=16, le=4096, description="Long side in pixels; never enlarged.")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The drawing's picture: greyscale on white, its long side 512 pixels or `size`."""
    drawing = service.find_drawing(session, drawing_id)
    response = Response(media_type="image/png")
    tag = f"{drawing.derivative[:32]}-{size or 512}"
    if (unchanged := _revalidate(response, tag, if_none_match)) is not None:
        return unchanged
    picture = service.read_image(resources, drawing, size)
    return Response(
        picture,
        media_type="image/png",
        headers=dict(response.headers) | {"Content-Length": str(len(picture))},
    )


def _revalidate(response: Response, tag: str, if_none_match: str | None) -> Response | None:
    """Set ETag and Cache-Control; a 304 when the caller's copy is still good."""
    etag = f'"{tag}"'
    headers = {"ETag": etag, "Cache-Control": REVALIDATE}
    response.headers.update(headers)
    known = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    return Response(status_code=304, headers=headers) if known & {etag, "*"} else None


@router.delete("/patents/{patent_id}", status_code=202, responses=ACCEPTED | problems(404))
def withdraw_patent(
    patent_id: Id,
    session: WithSession,
    response: Response,
    caller: Annotated[Caller, Depends(needs("ingest"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Withdraw a patent: later searches do not find it, earlier snapshots still hold it."""
    service.find_patent(session, patent_id)
    params = {"withdraw": patent_id}
    return accept(
        session,
        response,
        caller,
        key,
        params,
        lambda: jobs.create(session, "ingest", params, owner=caller.name),
    )
