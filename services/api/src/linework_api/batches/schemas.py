"""What a batch is asked and what it answers."""

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from linework_api.ingest.uploads import Upload
from linework_api.search.schemas import Day, EncoderName, RankingOptions, SearchAnswer, Split, Word
from linework_core.jobs.service import JobView

MOST_QUERIES = 10_000
SPAN = r"^[0-9]{4}-(W[0-9]{2}|[0-9]{2}-[0-9]{2}(/[0-9]{4}-[0-9]{2}-[0-9]{2})?)$"


def days(span: str) -> tuple[dt.date, dt.date]:
    """First and last day of '2024-W05', '2024-01-30' or '2024-01-01/2024-01-31'. Raises ValueError."""
    if re.fullmatch(r"[0-9]{4}-W[0-9]{2}", span):
        monday = dt.date.fromisoformat(f"{span}-1")
        return monday, dt.date.fromisoformat(f"{span}-7")
    first, _, last = span.partition("/")
    begin, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last or first)
    if end < begin:
        raise ValueError("the span ends before it begins")
    return begin, end


def _is_span(text: str) -> str:
    try:
        days(text)
    except ValueError as error:
        raise ValueError(f"write a week as 2024-W05, a day as 2024-01-30, a span with '/' between: {error}") from None
    return text


Span = Annotated[str, Field(pattern=SPAN, max_length=21), AfterValidator(_is_span)]


class BatchOptions(RankingOptions):
    """How each query of a batch is searched: the filters and the ranking of a single search."""

    before: Day | Literal["self"] = Field(
        "self", description="'self': before each patent's own date. Pictures have none: name a day for them."
    )
    family: Literal["include", "exclude"] = Field(
        "include", description="'exclude' leaves out the family of each patent too; of no use to pictures."
    )
    split: Split = "auto"
    record: bool = Field(
        True,
        description="false: a day after the job has ended nothing of it is kept but how many searches it was.",
    )


class BatchRequest(BaseModel):
    """The patents to search by: those of a list, or all that were granted in a span of days."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [{"required": ["patents"]}, {"required": ["granted"]}]}
    )

    patents: list[Word] = Field([], max_length=MOST_QUERIES, description="Ids of patents; each is searched once.")
    granted: Span | None = Field(
        None, description="An ISO week ('2024-W05'), a day, or two days with '/' between; both are included."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "BatchRequest":
        if bool(self.patents) == (self.granted is not None):
            raise ValueError("give either 'patents' or 'granted'")
        return self


class BatchAnswer(BaseModel):
    """One query, and what came of it."""

    ordinal: int
    query: str = Field(description="A patent's id, or a picture's name in its archive.")
    state: Literal["waiting", "answered", "set-aside"]
    reason: str | None = Field(description="Why it was set aside.")
    detail: str | None
    answer: SearchAnswer | None


class BatchPage(BaseModel):
    """Queries of a batch in their order, all of them searched on one snapshot by one encoder."""

    job: JobView
    snapshot: int
    encoder: EncoderName
    queries: list[BatchAnswer]
    next: str | None


class BatchPageOptions(BaseModel):
    """Which page of a batch."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100, description="How many queries at most.")
    cursor: str | None = Field(None, max_length=500, description="`next` of the page before.")


class BatchParams(BaseModel):
    """What the job is told, so that it means the same whenever it runs."""

    options: BatchOptions
    snapshot: int
    encoder: int
    upload: Upload | None = None  # the archive that the queries are pictures of

    @property
    def at(self) -> tuple[int, int]:
        return self.snapshot, self.encoder
