"""What an evaluation is asked to do: the words that the gateway takes and the trainer reads (docs/evaluation.md)."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from linework_core.scope import DateBasis

Protocol = Literal["same-patent", "class-temporal", "citation-temporal", "text-to-drawing", "drawing-to-text"]
Texts = Literal["descriptions", "titles"]
CROSS_MODAL = ("text-to-drawing", "drawing-to-text")
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class EvaluationRequest(BaseModel):
    """One evaluation. What is None is decided when the job is made: the active encoder, the newest snapshot."""

    model_config = ConfigDict(extra="forbid")

    protocol: Protocol
    encoder: Name | None = Field(None, description="Its id; the active one's by default.")
    snapshot: int | None = Field(None, ge=0, le=2**62, description="The corpus as it was; the newest by default.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Decides which queries, texts and examples are drawn.")
    date_basis: DateBasis = "granted"
    after: dt.date | None = Field(None, description="Queries are dated on this day or later.")
    before: dt.date | None = Field(None, description="Queries are dated before this day.")
    sample: int | None = Field(None, ge=1, le=10**7, description="At most so many queries, drawn at random.")
    texts: Texts = Field("descriptions", description="What the cross-modal protocols compare drawings with.")
    pictures: bool = Field(True, description="Draw the pictures, too.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.after and self.before and self.after >= self.before:
            raise ValueError("'after' lies before 'before'")
        return self
