"""What an enrichment is asked, and descriptions as callers read them."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from linework_api.search.schemas import Filters, Word
from linework_core.tables import Description

Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]


class EnrichFilters(Filters):
    """The filters of a search; an enrichment has no query whose date could be meant by 'self'."""

    @model_validator(mode="after")
    def _has_no_date_of_its_own(self) -> "EnrichFilters":
        if self.before == "self":
            raise ValueError("'before' must be a day: there is no query whose own date 'self' could mean")
        return self


class Budget(BaseModel):
    """What an enrichment may take. It stops cleanly before it would take more; null is no limit."""

    model_config = ConfigDict(extra="forbid")

    drawings: int | None = Field(None, ge=1, le=10**12, description="Drawings described.")
    tokens: int | None = Field(None, ge=1, le=10**15, description="Tokens, read and written.")
    money: float | None = Field(None, gt=0, le=1e9, allow_inf_nan=False, description="US dollars, by the set prices.")


class EnrichRequest(BaseModel):
    """Which drawings are described, by what, and for how much at most.

    `patents` and `drawings` add up, `filter` narrows them down; with none of the three it is every drawing that
    has no such description yet.
    """

    model_config = ConfigDict(extra="forbid")

    patents: list[Word] = Field([], max_length=1000, description="Patents whose drawings are meant.")
    drawings: list[Word] = Field([], max_length=1000, description="Drawings that are meant.")
    filter: EnrichFilters | None = Field(None, description="Only drawings that pass; the same filters as in a search.")
    provider: Literal["template", "openai"] | None = Field(
        None, description="'template' writes from facts alone, 'openai' asks the language model that is configured."
    )
    model: Word | None = Field(None, description="One of the provider's models; by default the one configured.")
    captioner: bool = Field(False, description="Let a vision model look at each drawing first.")
    count: int = Field(20, ge=1, le=50, description="Texts a drawing.")
    languages: list[Language] = Field(["en"], min_length=1, max_length=8, description="Languages of the texts.")
    dry_run: bool = Field(False, description="Only estimate: drawings, calls, tokens and cost. Nothing is sent.")
    budget: Budget = Budget()

    @field_validator("patents", "drawings", "languages")
    @classmethod
    def _each_once(cls, values: list[str]) -> list[str]:
        return list(dict.fromkeys(values))

    @model_validator(mode="after")
    def _a_template_needs_no_model(self) -> "EnrichRequest":
        if self.provider == "template" and (self.model is not None or self.captioner):
            raise ValueError("'template' writes from facts alone: it takes neither 'model' nor 'captioner'")
        if self.provider == "template" and "en" not in self.languages:
            raise ValueError("'template' writes English only: 'en' must be among the languages")
        return self


class Text(BaseModel):
    """One text about a drawing. A machine wrote it: it is to be treated as a stranger's."""

    text: str
    language: str


class DescriptionSet(BaseModel):
    """All texts that one enrichment wrote about a drawing, and where they come from."""

    texts: list[Text]
    provider: str = Field(description="'template': written from facts, by no model.")
    model: str | None
    captioner: str | None = Field(description="The vision model that looked at the drawing; null where none did.")
    prompt: str = Field(description="Hash of the prompts.")
    facts: str = Field(description="Hash of the facts that were given.")
    recipe: str = Field(description="Hash of provider, models, prompts, number and languages of the texts.")
    tokens_in: int
    tokens_out: int
    cost: float = Field(description="US dollars, of the calls that were first made for this set.")
    latency_ms: float
    job: UUID
    created_at: dt.datetime
    added_in: int = Field(description="The snapshot from which on searches read it.")
    removed_in: int | None = Field(description="The snapshot from which on a newer set took its place.")

    @classmethod
    def of(cls, row: Description) -> "DescriptionSet":
        fields = {name: getattr(row, name) for name in cls.model_fields if name not in ("job", "texts", "cost")}
        return cls(texts=[Text(**text) for text in row.texts], job=row.job_id, cost=float(Decimal(row.cost)), **fields)


class Descriptions(BaseModel):
    """A drawing's descriptions, the newest set first. `next` leads to older ones."""

    drawing: str
    sets: list[DescriptionSet]
    next: str | None
