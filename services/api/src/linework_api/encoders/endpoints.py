"""Routes of encoders and their indexes."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.jobs.accepted import ACCEPTED, IdempotencyHeader, accept
from linework_api.state import WithResources, WithSession
from linework_core import encoder_removal, encoders
from linework_core.db import transaction
from linework_core.http import problems
from linework_core.jobs import service as jobs
from linework_core.jobs.service import JobView
from linework_core.tables import Encoder, Job, VectorIndex

router = APIRouter(tags=["encoders"], route_class=KeyFirst)
Id = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]
Trainer = Annotated[Caller, Depends(needs("train"))]
Searcher = Annotated[Caller, Depends(needs("search"))]


class EncoderView(BaseModel):
    """An encoder, and the state of its index."""

    id: str
    name: str
    spec: str
    content_hash: str
    dimension: int
    has_text: bool
    state: str = Field(description="'building', 'ready', 'active', 'retired'; 'removed' where only its name is left")
    paused: bool = Field(description="Its embed job was cancelled: none is made until `POST /embed` asks for it.")
    drawings: int
    indexed: int
    created_at: dt.datetime


class EncoderList(BaseModel):
    encoders: list[EncoderView]


class NewEncoder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    spec: str = Field(
        min_length=1, max_length=500, pattern=r"^[^\x00]+$",
        description="'hog', 'lbp', 'ahdh', 'vishash', 'sift-fv', 'classic', 'timm:<name>', "
        "'open_clip:<name>/<pretrained>' or 'checkpoint:<folder>'",
    )  # fmt: skip


class EmbedRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    encoder: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00]+$",
        description="Its id; the active one's by default.",
    )


@router.get("/encoders", responses=problems(400, 401, 403, 422, 503))
def list_encoders(session: WithSession, _: Searcher) -> EncoderList:
    """All encoders, and what their indexes hold; not those that were removed."""
    there = select(Encoder).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    every = session.scalars(there.where(VectorIndex.removed_at.is_(None)).order_by(Encoder.number)).all()
    return EncoderList(encoders=[_view(session, encoder) for encoder in every])


@router.post("/encoders", status_code=201, responses=problems(400, 401, 403, 409, 415, 422, 503))
async def register_encoder(
    wanted: NewEncoder, resources: WithResources, response: Response, caller: Trainer
) -> EncoderView:
    """Register an encoder by its specification. Its index is built beside the active one."""
    manifest = await resources.online.describe(caller.name, wanted.spec)

    def register() -> EncoderView:
        with transaction(resources.engine) as session:
            encoder = encoders.register(session, manifest)
            jobs.ensure_embed_job(session, encoder)
            return _view(session, encoder)

    view = await resources.database.run(caller.name, register)
    response.headers["Location"] = f"/encoders/{view.id}"
    return view


@router.get("/encoders/{encoder_id}", responses=problems(400, 401, 403, 404, 422, 503))
def read_encoder(encoder_id: Id, session: WithSession, _: Searcher) -> EncoderView:
    """One encoder, and what its index holds."""
    return _view(session, encoders.find(session, encoder_id))


@router.post("/encoders/{encoder_id}/activate", responses=problems(400, 401, 403, 404, 409, 410, 422, 503))
def activate_encoder(encoder_id: Id, session: WithSession, _: Trainer) -> EncoderView:
    """Let this encoder's index answer searches, if it is built and covers at least what the active one covers."""
    encoder = encoders.find_kept(session, encoder_id)
    encoders.activate(session, encoder)
    return _view(session, encoder)


@router.delete("/encoders/{encoder_id}", status_code=204, responses=problems(400, 401, 403, 404, 409, 422, 503))
def remove_encoder(encoder_id: Id, session: WithSession, _: Trainer) -> None:
    """Retire an encoder for good, but not the active one. Its vectors go in the background; records stay readable."""
    encoder_removal.remove(session, encoders.find(session, encoder_id))


@router.post("/embed", status_code=202, responses=ACCEPTED | problems(404, 410))
def embed(
    wanted: EmbedRequest,
    session: WithSession,
    response: Response,
    caller: Trainer,
    key: IdempotencyHeader = None,
) -> JobView:
    """Embed what an index lacks. Ingest does this by itself, unless the last such job was cancelled; there is one such
    job an encoder at a time.
    """
    encoder = encoders.find_kept(session, wanted.encoder) if wanted.encoder else encoders.active(session)
    return accept(
        session,
        response,
        caller,
        key,
        {"embed": wanted.model_dump()},
        lambda: _asked_for(session, encoder),
    )


def _asked_for(session: Session, encoder: Encoder) -> Job:
    encoders.resume(session, encoder)
    return jobs.ensure_embed_job(session, encoder)


def _view(session: Session, encoder: Encoder) -> EncoderView:
    coverage = encoders.coverage(session, encoder)
    index = session.get_one(VectorIndex, encoder.number)
    return EncoderView(
        id=encoder.encoder_id,
        name=encoder.name,
        spec=encoder.spec,
        content_hash=encoder.content_hash,
        dimension=encoder.dimension,
        has_text=encoder.has_text,
        state=index.state if index.removed_at is None else "removed",
        paused=index.paused_at is not None,
        drawings=coverage.drawings,
        indexed=coverage.indexed,
        created_at=encoder.created_at,
    )
