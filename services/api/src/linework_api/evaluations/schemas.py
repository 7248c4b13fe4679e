"""An evaluation as callers see it."""

import datetime as dt
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from linework_core.evaluations import EvaluationRequest, Protocol
from linework_core.tables import Encoder, Evaluation

Artefact = Literal["queries.csv", "database-size.png", "retrieval.png", "tsne.png"]
Means = dict[str, float | None]  # by measure; null where there was nothing to judge


class Part(BaseModel):
    """The queries of all classes, or of head or tail, and the means of their measures."""

    queries: int
    judged: int
    skipped: int = Field(description="Queries to which nothing that is ranked is relevant: they enter no mean.")
    classes: int
    mean: Means = Field(description="Over queries: map, hit_rate@k, recall@k, mrr@10.")
    macro: Means = Field(description="Over classes, of the means over their queries.")


class GrowthPoint(BaseModel):
    """mAP with a share of the distractors; `items` are ranked for a query in the mean."""

    share: float
    items: float
    map: float


class Results(BaseModel):
    """What was measured."""

    model_config = ConfigDict(populate_by_name=True)

    drawings: int
    without_vector: int
    undated: int
    items: int
    head_classes: list[str]
    everything: Part = Field(alias="all")
    head: Part
    tail: Part
    growth: list[GrowthPoint] = []


class EvaluationEncoder(BaseModel):
    id: str
    name: str


class EvaluationView(BaseModel):
    """An evaluation: what was measured, and all that it depends on."""

    id: UUID
    encoder: EvaluationEncoder
    protocol: Protocol
    snapshot: int
    seed: int
    request: EvaluationRequest
    results: Results
    artefacts: dict[str, str] = Field(description="Name and address of each.")
    device: str
    seconds: float
    created_at: dt.datetime

    @classmethod
    def of(cls, session: Session, evaluation: Evaluation) -> "EvaluationView":
        encoder = session.get_one(Encoder, evaluation.encoder)
        same = ("id", "protocol", "snapshot", "seed", "request", "results", "device", "seconds", "created_at")
        address = f"/evaluations/{evaluation.id}/artefacts"
        return cls(
            encoder=EvaluationEncoder(id=encoder.encoder_id, name=encoder.name),
            artefacts={name: f"{address}/{name}" for name in sorted(evaluation.artefacts)},
            **{name: getattr(evaluation, name) for name in same},
        )
