"""What a search is asked and what it answers."""

import datetime as dt
import re
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from linework_api import lists
from linework_core.scope import DateBasis
from linework_core.views import ViewClass

Mode = Literal["auto", "exact", "approximate"]
Facet = Literal["locarno", "year", "view", "office"]
MOST_PICTURES = 7  # of a query
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Words = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]+$")]
Class = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00%_\\]+$")]
Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _day(value: Any) -> Any:
    """Only what reads as a day: pydantic would take '0' for 1970-01-01, and such a filter shows too much."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("write a day as YYYY-MM-DD")
    return value


Day = Annotated[dt.date, BeforeValidator(_day)]


class Crop(BaseModel):
    """A part of a picture, as fractions of its width and height from the upper left corner."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def parse(cls, text: str) -> "Crop | None":
        """'0.1,0.2,0.6,0.9'; an empty text is no crop. Raises ValueError."""
        if not text:
            return None
        try:
            x0, y0, x1, y1 = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError("write a crop as four fractions: x0,y0,x1,y1") from None
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise ValueError("a crop lies within the picture: 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1")
        return cls(x0=x0, y0=y0, x1=x1, y1=y1)

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1


def _is_crop(text: str) -> str:
    Crop.parse(text)
    return text


CropText = Annotated[str, Field(max_length=200), AfterValidator(_is_crop)]


Split = Annotated[
    Literal["auto", "no"],
    Field(
        description="'auto': a sheet with several figures is cut into them, as the corpus' sheets are, and labels are "
        "left out; a picture with a crop is taken as it is. 'no': each picture is one drawing."
    ),
]


class Filters(BaseModel):
    """Which drawings may be found. A missing date never passes a date filter."""

    model_config = ConfigDict(extra="forbid")

    before: Day | Literal["self"] | None = Field(
        None, description="Only drawings dated before this day (never on it); 'self': before the query's own patent."
    )
    after: Day | None = Field(None, description="Only drawings dated on this day or later.")
    date_basis: DateBasis = Field("granted", description="Which of a patent's dates `before` and `after` mean.")
    locarno: list[Class] = Field(
        [],
        max_length=50,
        description="Locarno class ('14') or subclass ('14-02'), or another source's class; any of them.",
    )
    office: list[Word] = Field([], max_length=50, description="Offices ('US'); any of them.")
    view: list[ViewClass] = Field([], max_length=9, description="Classes of views; any of them.")
    exclude: list[Word] = Field([], max_length=100, description="Patents to leave out.")
    cites: Word | None = Field(None, description="Only patents that cite this document ('USD428532').")
    cited_by: Word | None = Field(None, description="Only patents that this patent cites.")

    @model_validator(mode="after")
    def _a_span_of_time(self) -> "Filters":
        if isinstance(self.before, dt.date) and self.after and self.after >= self.before:
            raise ValueError("'after' must be earlier than 'before'")
        return self


class RankingOptions(Filters):
    """The filters, and what is ranked."""

    limit: int = Field(20, ge=1, le=1000, description="How many hits at most.")
    group_by: Literal["none", "patent"] = Field("none", description="'patent': one hit a patent; see `more`.")
    mode: Mode = Field("auto", description="How to rank; 'auto' takes the cheaper way that keeps the promises.")


class SearchOptions(RankingOptions):
    """The filters, and how the answer should look."""

    cursor: str | None = Field(
        None, max_length=16_000, description="`next` of the page before; send the same request with it."
    )
    facets: list[Facet] = Field([], max_length=4, description="Count the eligible drawings by these.")
    explain: bool = Field(False, description="Tell how the ranking was planned.")
    record: bool = Field(True, description="false: nothing of this search is kept but that there was one.")


class Refinement(BaseModel):
    """Text beside pictures, and what was liked among earlier hits."""

    q: Words | None = Field(None, description="Words that tell what is looked for.")
    like: list[Word] = Field([], max_length=50, description="Drawings that the query should move towards.")
    unlike: list[Word] = Field([], max_length=50, description="Drawings that it should move away from.")
    image_weight: Weight = Field(0.5, description="Weight of the pictures where there is text too.")
    text_weight: Weight = Field(0.5, description="Weight of the text where there are pictures too.")

    @model_validator(mode="after")
    def _some_weight(self) -> "Refinement":
        if self.image_weight + self.text_weight == 0:
            raise ValueError("one of 'image_weight' and 'text_weight' must be above 0")
        return self


class StoredQuery(SearchOptions, Refinement):
    """A search whose query is in the corpus, or in words."""

    drawing: Word | None = Field(None, description="A drawing's id; its own patent is left out.")
    patent: Word | None = Field(None, description="A patent's id: all its drawings are the query; it is left out.")
    family: Literal["include", "exclude"] = Field(
        "include", description="'exclude' leaves out the family of the query's patent too."
    )

    @model_validator(mode="after")
    def _one_query(self) -> "StoredQuery":
        if self.drawing is not None and self.patent is not None:
            raise ValueError("give either 'drawing' or 'patent', not both")
        stored = self.drawing is not None or self.patent is not None
        if not (stored or self.q or self.like):
            raise ValueError("give 'drawing', 'patent', 'q' or 'like'")
        if self.before == "self" and not stored:
            raise ValueError("'before=self' needs 'drawing' or 'patent'")
        return self


class ImageForm(Refinement):
    """The parts of a multipart search."""

    model_config = ConfigDict(extra="forbid")

    image: list[UploadFile] = Field(
        min_length=1, max_length=MOST_PICTURES, description="1 to 7 drawings of one design."
    )
    crop: list[CropText] = Field(
        [], max_length=7, description="x0,y0,x1,y1 as fractions, one a picture in their order; empty for the whole."
    )
    page: list[Annotated[int, Field(ge=1, le=10_000)]] = Field(
        [], max_length=7, description="Page of a TIFF (or frame of a GIF), one a picture in their order."
    )
    split: Split = "auto"

    @model_validator(mode="before")
    @classmethod
    def _lists_by_our_rule(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        sent = {name: given[name] for name in lists.names_of(cls) if isinstance(given.get(name), list)}
        return given | {name: lists.parted(name, values) for name, values in sent.items()}


class ImageOptions(SearchOptions):
    """The query string of a multipart search."""

    @model_validator(mode="after")
    def _has_no_date_of_its_own(self) -> "ImageOptions":
        if self.before == "self":
            raise ValueError("'before=self' needs a query of the corpus: 'drawing' or 'patent'")
        return self


class Scores(BaseModel):
    """The parts of a score; null where the query has no such part."""

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


class Another(BaseModel):
    """Another drawing of a hit's patent."""

    score: float
    drawing: HitDrawing


class Hit(BaseModel):
    """One drawing found, or with `group_by=patent` the best of its patent."""

    rank: int
    score: float
    scores: Scores
    patent: HitPatent
    drawing: HitDrawing
    more: list[Another] | None = Field(None, description="With `group_by=patent`: the patent's other drawings.")
    erased: bool = Field(False, description="In a record: the patent was erased since, and nothing of it is shown.")


class EncoderName(BaseModel):
    id: str
    name: str


class QueryPart(BaseModel):
    """A drawing that is searched by."""

    image: int = Field(description="Which of the query's pictures it is on, from 1.")
    box: tuple[float, float, float, float] = Field(
        description="Where on it: x0, y0, x1, y1 as fractions, as `crop` takes them."
    )
    label: str | None = Field(description="The label that was read beside it.")
    turned: int = Field(description="Degrees clockwise that brought it upright.")
    reason: str | None = Field(description="Why a sheet with labels is not cut into its figures.")


class QueryPictures(BaseModel):
    """What the pictures of a query came to."""

    parts: list[QueryPart] = Field(description="Its drawings; a hit's score is that of the nearest of them.")


class FilterWarning(BaseModel):
    """A value of a filter that nothing in the corpus has."""

    parameter: str
    value: str
    detail: str


class SearchAnswer(BaseModel):
    """The hits, and what they are worth: on which snapshot, by which encoder, out of how many."""

    search_id: UUID | None = Field(description="Where the record is; null with `record=false`.")
    snapshot: int
    encoder: EncoderName
    date_basis: DateBasis
    before: dt.date | None
    after: dt.date | None
    eligible: int = Field(description="Drawings (with `group_by=patent`: patents) that pass and can be ranked.")
    unindexed: int = Field(description="Drawings that pass the filters and have no vector yet.")
    undated: int = Field(description="Drawings that only a missing date keeps from passing.")
    exact: bool = Field(
        description="True when every eligible drawing was compared; on a later page: every one that no page before has."
    )
    query: QueryPictures | None = Field(None, description="The drawings of the query's pictures.")
    warnings: list[FilterWarning] = Field([], description="Values of filters that nothing in the corpus has.")
    facets: dict[Facet, dict[str, int]] | None = None
    plan: dict[str, Any] | None = Field(None, description="With `explain=true`: how the ranking was planned.")
    next: str | None
    hits: list[Hit]


class SearchRecord(BaseModel):
    """A search as it was kept."""

    id: UUID
    created_at: dt.datetime
    owner: str
    took_ms: float
    request: dict[str, Any]
    plan: dict[str, Any]
    answer: SearchAnswer


class Replay(BaseModel):
    """The same query on the corpus as it was. `same` compares drawings and scores, rank by rank."""

    search_id: UUID
    snapshot: int
    same: bool
    missing: list[str] = Field(description="Drawings of the first answer that the replay does not have.")
    added: list[str] = Field(description="Drawings of the replay that the first answer did not have.")
    answer: SearchAnswer


class ClusterOptions(BaseModel):
    """How the hits of a search are put together."""

    model_config = ConfigDict(extra="forbid")

    k: int | None = Field(None, ge=1, le=50, description="How many clusters; by default about sqrt(hits / 2).")
    top: int = Field(100, ge=1, le=1000, description="How many of the best hits to cluster.")


class TitleOptions(ClusterOptions):
    """Which clusters are named, and by whom."""

    provider: Literal["template", "openai"] | None = Field(
        None, description="'template' names them by rules, 'openai' asks a model that is configured."
    )


class Keyword(BaseModel):
    word: str
    weight: float


class Cluster(BaseModel):
    """Hits that are alike. `title` and `summary` are null until the enricher has written them."""

    id: int
    size: int
    title: str | None = None
    summary: str | None = None
    keywords: list[Keyword]
    hits: list[Hit]


class Clusters(BaseModel):
    search_id: UUID
    k: int
    clusters: list[Cluster]
