"""Routes of enrichment and of what it wrote."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.descriptions import service
from linework_api.descriptions.schemas import Descriptions, EnrichRequest
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.spending import within_quota
from linework_api.state import WithResources, WithSession
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Job

router = APIRouter(tags=["descriptions"], route_class=KeyFirst)
Id = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]


@router.post("/enrich", status_code=202, responses=ACCEPTED | problems(404))
def enrich(
    wanted: EnrichRequest,
    session: WithSession,
    resources: WithResources,
    response: Response,
    caller: Annotated[Caller, Depends(needs("enrich"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Describe drawings: of patents, by id, by filter, or all that have no such description yet.

    The job's result tells calls, tokens, cost and failures by reason; with `dry_run` what they would be.
    """
    provider = service.check_provider(wanted, resources.settings)

    def make() -> Job:
        params = service.job_params(session, wanted, provider)
        params = within_quota(session, caller, params, resources.settings)
        return jobs.create(session, "enrich", params, owner=caller.name)

    return accept(session, response, caller, key, {"enrich": wanted.model_dump(mode="json")}, make)


@router.get("/drawings/{drawing_id}/descriptions", responses=problems(400, 401, 403, 404, 422, 503))
def read_descriptions(
    drawing_id: Id,
    session: WithSession,
    _: Annotated[Caller, Depends(needs("search"))],
    limit: Annotated[int, Query(ge=1, le=100, description="How many sets at most.")] = 1,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
    all_sets: Annotated[bool, Query(alias="all", description="All sets at once, however old.")] = False,
) -> Descriptions:
    """A drawing's descriptions with their provenance: the newest complete set, older ones by paging or `all`."""
    return service.read_descriptions(session, drawing_id, limit=None if all_sets else limit, cursor=cursor)
