"""Routes that restore, erase, and lift an erasure. Withdrawing is `DELETE /patents/{id}`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.patents.endpoints import Id
from linework_api.removals import service
from linework_api.state import WithSession
from linework_core import patent_ids
from linework_core.errors import Unprocessable
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Job

router = APIRouter(tags=["patents"], route_class=KeyFirst)
Admin = Annotated[Caller, Depends(needs("admin"))]


class EraseRequest(BaseModel):
    """What is to be erased, said a second time, and why."""

    model_config = ConfigDict(extra="forbid")

    confirm: str = Field(max_length=200, description="The patent's id, as in the path.")
    reason: str = Field(min_length=3, max_length=1000, description="A court's order, say; the tombstone keeps it.")


@router.post("/patents/{patent_id}/restore", status_code=202, responses=ACCEPTED | problems(404, 410))
def restore_patent(
    patent_id: Id,
    session: WithSession,
    response: Response,
    caller: Annotated[Caller, Depends(needs("ingest"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Undo a withdrawal: later searches find the patent again, as it was. 409 where it is not withdrawn."""
    params = {"restore": patent_ids.resolve_one(session, patent_id)}

    def make() -> Job:
        service.withdrawn_version(session, params["restore"])
        return jobs.create(session, "ingest", params, owner=caller.name)

    return accept(session, response, caller, key, params, make)


@router.post("/patents/{patent_id}/erase", status_code=202, responses=ACCEPTED | problems(404, 410))
def erase_patent(
    patent_id: Id,
    wanted: EraseRequest,
    session: WithSession,
    response: Response,
    caller: Admin,
    key: IdempotencyHeader = None,
) -> JobView:
    """Delete a patent for good, out of the past as well: all versions, vectors, texts and pictures. A tombstone stays.

    Reading it and replaying what showed it answer 410 from then on, and it cannot be loaded again.
    """
    named = patent_ids.resolve_one(session, patent_id)
    if wanted.confirm not in (named, patent_id):
        raise Unprocessable(f"Nothing was erased: 'confirm' must repeat the id, {named}.")
    params = {"erase": named, "reason": wanted.reason, "by": caller.name}

    def make() -> Job:
        service.newest_version(session, named)
        return jobs.create(session, "ingest", params, owner=caller.name)

    return accept(session, response, caller, key, params, make)


@router.delete("/patents/{patent_id}/erasure", status_code=204, responses=problems(400, 401, 403, 404, 422, 503))
def lift_erasure(patent_id: Id, session: WithSession, caller: Admin) -> None:
    """Let an erased patent be loaded again. What was erased stays so, and its tombstone with it."""
    service.lift(session, patent_id, caller.name)
