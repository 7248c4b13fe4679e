"""What a search is asked and what it answers."""

import datetime as dt
import re
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DateBasis = Literal["granted", "filed", "priority"]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Class = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00%_\\]+$")]


def _day(value: Any) -> Any:
    """Only what reads as a day: pydantic would take '0' for 1970-01-01, and such a filter shows too much."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("write a day as YYYY-MM-DD")
    return value


Day = Annotated[dt.date, BeforeValidator(_day)]


class Filters(BaseModel):
    """Which drawings may be found. A missing date never passes a date filter."""

    model_config = ConfigDict(extra="forbid")

    before: Day | None = Field(None, description="Only drawings dated before this day (never on it).")
    after: Day | None = Field(None, description="Only drawings dated on this day or later.")
    date_basis: DateBasis = Field("granted", description="Which of a patent's dates `before` and `after` mean.")
    locarno: list[Class] = Field(
        [],
        max_length=50,
        description="Locarno class ('14') or subclass ('14-02'), or another source's class; any of them.",
    )
    office: list[Word] = Field([], max_length=50, description="Offices ('US'); any of them.")

    @model_validator(mode="after")
    def _a_span_of_time(self) -> "Filters":
        if self.before and self.after and self.after >= self.before:
            raise ValueError("'after' must be earlier than 'before'")
        return self


class SearchOptions(Filters):
    """The filters and how much is returned."""

    limit: int = Field(20, ge=1, le=1000, description="How many hits at most.")


class StoredQuery(SearchOptions):
    """A search whose query is in the corpus."""

    drawing: Word | None = Field(None, description="A drawing's id; its own patent is left out.")
    patent: Word | None = Field(None, description="A patent's id: all its drawings are the query; it is left out.")
    family: Literal["include", "exclude"] = Field(
        "include", description="'exclude' leaves out the family of the query's patent too."
    )

    @model_validator(mode="after")
    def _one_query(self) -> "StoredQuery":
        if (self.drawing is None) == (self.patent is None):
            raise ValueError("give either 'drawing' or 'patent'")
        return self


class Scores(BaseModel):
    """The parts of a score."""

    image: float | None
    text: float | None


class HitPatent(BaseModel):
    id: str
    title: str | None
    granted: dt.date | None
    filed: dt.date | None
    locarno: str | None


class HitDrawing(BaseModel):
    id: str
    caption: str | None
    view: str | None
    image: str
    thumbnail: str


class Hit(BaseModel):
    """One drawing found. `score` is the cosine similarity with the nearest drawing of the query."""

    rank: int
    score: float
    scores: Scores
    patent: HitPatent
    drawing: HitDrawing


class EncoderName(BaseModel):
    id: str
    name: str


class SearchAnswer(BaseModel):
    """The hits, and what they are worth: on which snapshot, by which encoder, out of how many."""

    search_id: UUID
    snapshot: int
    encoder: EncoderName
    date_basis: DateBasis
    before: dt.date | None
    after: dt.date | None
    eligible: int = Field(description="Drawings that pass the filters and can be ranked.")
    unindexed: int = Field(description="Drawings that pass the filters and have no vector yet.")
    undated: int = Field(description="Drawings that only a missing date keeps from passing.")
    exact: bool = Field(description="True when every eligible drawing was compared.")
    next: str | None
    hits: list[Hit]


class SearchRecord(BaseModel):
    """A search as it was kept."""

    id: UUID
    created_at: dt.datetime
    request: dict[str, Any]
    answer: SearchAnswer
