"""Routes of evaluations."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.evaluations import service
from linework_api.evaluations.schemas import Artefact, EvaluationView
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.state import WithResources, WithSession
from linework_core import store
from linework_core.db import transaction
from linework_core.evaluations import EvaluationRequest
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Job

router = APIRouter(tags=["evaluations"], route_class=KeyFirst)
Searcher = Annotated[Caller, Depends(needs("search"))]
FILE = {"description": "The file.", "content": {"image/png": {}, "text/csv": {}}}


@router.post("/evaluate", status_code=202, responses=ACCEPTED | problems(404, 410))
def evaluate(
    wanted: EvaluationRequest,
    session: WithSession,
    response: Response,
    caller: Annotated[Caller, Depends(needs("train"))],
    key: IdempotencyHeader = None,
) -> JobView:
    """Measure how good an encoder's rankings are by one protocol. The job's id is the evaluation's."""

    def make() -> Job:
        return jobs.create(session, "evaluate", service.job_params(session, wanted), owner=caller.name)

    return accept(session, response, caller, key, {"evaluate": wanted.model_dump(mode="json")}, make)


@router.get("/evaluations/{evaluation_id}", responses=problems(400, 401, 403, 404, 422, 503))
def read_evaluation(evaluation_id: UUID, session: WithSession, _: Searcher) -> EvaluationView:
    """An evaluation that has been made: its measures, its provenance and its artefacts."""
    return EvaluationView.of(session, service.find(session, evaluation_id))


@router.get(
    "/evaluations/{evaluation_id}/artefacts/{name}",
    response_class=Response,
    responses={200: FILE, **problems(400, 401, 403, 404, 422, 503)},
)
async def read_artefact(evaluation_id: UUID, name: Artefact, resources: WithResources, caller: Searcher) -> Response:
    """A picture, or the measures of every query as CSV."""

    def named() -> str:
        with transaction(resources.engine) as session:
            return service.artefact(service.find(session, evaluation_id), name)

    key = store.artefact_key(await resources.database.run(caller.name, named))
    content = await resources.pictures.run(caller.name, partial(store.get, resources.store, key))
    kind = "text/csv" if name.endswith(".csv") else "image/png"
    return Response(content, media_type=kind)
