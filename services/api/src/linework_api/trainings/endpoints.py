"""The route of trainings."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.state import WithSession
from linework_core.corpus import current_snapshot
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.recipes import TrainingOrder
from linework_core.tables import Job

router = APIRouter(tags=["trainings"], route_class=KeyFirst)


@router.post("/train", status_code=202, responses=ACCEPTED)
def train(
    wanted: TrainingOrder,
    session: WithSession,
    response: Response,
    caller: Annotated[Caller, Depends(needs("train"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Train an encoder on the corpus as it is now, by a recipe. While it runs, the job's result has the latest report;
    in the end it names the encoder, which is registered, and whose index fills.
    """
    wanted.load_recipe()  # a field that does not exist is refused now, not by the worker
    request = wanted.model_dump(mode="json")

    def make() -> Job:
        return jobs.create(session, "train", {**request, "snapshot": current_snapshot(session)}, owner=caller.name)

    return accept(session, response, caller, key, {"train": request}, make)
