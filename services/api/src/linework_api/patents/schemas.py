"""Patents and drawings as callers read them."""

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel


class FigureView(BaseModel):
    number: str
    label: str
    caption: str
    view: str | None
    object: str | None


class CitationView(BaseModel):
    number: str
    raw_number: str
    office: str
    kind: str | None
    date: str | None
    name: str | None
    category: str | None


class LayoutView(BaseModel):
    """How a sheet was split into drawings, and why not where that is not certain."""

    state: Literal["split", "single", "whole"]
    reason: Literal[
        "no-label", "label-repeated", "labels-turned", "not-separable", "not-accounted-for"
    ] | None  # fmt: skip
    labels: list[str]  # figures that printed labels name
    turned: Literal[0, 90, 180, 270]  # degrees clockwise that bring it upright


class SheetView(BaseModel):
    id: str
    number: int
    role: str
    width: int
    height: int
    layout: LayoutView | None  # null: nobody tried to split it


class DrawingView(BaseModel):
    """A drawing. `figure` is there only when it is certain; else `candidates` holds all that it could be."""

    id: str
    patent: str
    sheet: str
    number: int
    figure: FigureView | None
    candidates: list[FigureView]
    width: int
    height: int
    granted: dt.date | None
    filed: dt.date | None
    priority: dt.date | None
    locarno: str | None
    image: str
    thumbnail: str
    added_in: int


class PatentView(BaseModel):
    """A patent as it stands now."""

    id: str
    office: str
    number: str
    kind: str | None
    title: str | None
    granted: dt.date | None
    filed: dt.date | None
    priority: dt.date | None
    locarno: str | None
    locarno_edition: str | None
    locarno_further: list[str]
    claim: str | None
    application: str | None
    hague: dict[str, Any] | None
    family: list[dict[str, Any]]
    figures: list[FigureView]
    citations: list[CitationView]
    sheets: list[SheetView]
    drawings: list[str]
    source: str
    added_in: int
