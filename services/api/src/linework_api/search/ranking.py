"""Ranking by pictures alone."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from linework_api.search import scoring
from linework_api.search.schemas import Mode
from linework_api.search.scope import Scope
from linework_api.search.target import Target, Vectors
from linework_core.tables import Encoder


@dataclass(frozen=True, slots=True)
class Found:
    drawing_row: int
    drawing_id: str
    patent_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Plan:
    way: str

    def as_json(self) -> dict[str, Any]:
        return {"way": self.way}


@dataclass(frozen=True, slots=True)
class Ranked:
    found: list[Found]
    exact: bool
    plan: Plan


def rank(session: Session, encoder: Encoder, vectors: Vectors, scope: Scope, k: int, *, mode: Mode = "auto") -> Ranked:
    """The k nearest drawings by an exact scan."""
    hits = scoring.rank(session, encoder, Target(vectors), scope, k)
    return Ranked([Found(h.row, h.drawing_id, h.patent_id, h.score) for h in hits], True, Plan("scan"))
