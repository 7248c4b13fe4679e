"""From a request and a corpus to the trial that it asks for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from linework_core.evaluations import EvaluationRequest
from linework_core.tables import Encoder
from linework_trainer.evaluation import protocols, repository
from linework_trainer.evaluation.metrics import head_classes
from linework_trainer.evaluation.protocols import Encode, Names, Trial
from linework_trainer.evaluation.ranking import Ints
from linework_trainer.evaluation.repository import UNDATED, Drawings

DATED = ("class-temporal", "citation-temporal")


@dataclass(frozen=True, slots=True)
class Material:
    """All that one evaluation reads of the corpus."""

    drawings: Drawings
    total: int  # drawings, with a vector or without
    sizes: dict[str, int]  # drawings of each class that head and tail are counted on
    citations: list[tuple[str, str]]
    titles: dict[str, str]
    described: list[tuple[int, list[str]]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A trial, and what must be told of it."""

    trial: Trial
    class_names: list[str]
    head: frozenset[str]
    undated: int  # drawings that have no date and so take no part in a protocol with dates

    @property
    def head_numbers(self) -> frozenset[int]:
        return frozenset(number for number, name in enumerate(self.class_names) if name in self.head)


def read(
    session: Session, request: EvaluationRequest, snapshot: int, encoder: Encoder, between_pages: Callable[[], None]
) -> Material:
    """Read what the request's protocol needs, at the snapshot."""
    cross_modal = request.protocol in ("text-to-drawing", "drawing-to-text")
    by_title, by_text = cross_modal and request.texts == "titles", cross_modal and request.texts == "descriptions"
    return Material(
        drawings=repository.read_drawings(session, encoder, snapshot, request.date_basis, between_pages),
        total=repository.count_drawings(session, snapshot),
        sizes=repository.class_sizes(session, snapshot, request.date_basis, request.after),
        citations=repository.citations(session, snapshot) if request.protocol == "citation-temporal" else [],
        titles=repository.titles(session, snapshot) if by_title else {},
        described=list(repository.descriptions(session, snapshot)) if by_text else [],
    )


def prepare(request: EvaluationRequest, material: Material, encode: Encode) -> Prepared:
    """The trial that is asked for. Its draws depend on the seed and the corpus alone, not on the encoder."""
    names = Names()
    classes = names(material.drawings.classes)
    dated = request.protocol in DATED
    undated = int((material.drawings.days == UNDATED).sum()) if dated else 0
    return Prepared(_trial(request, material, classes, encode), names.all(), head_classes(material.sizes), undated)


def _trial(request: EvaluationRequest, material: Material, classes: Ints, encode: Encode) -> Trial:
    drawings, dice = material.drawings, np.random.default_rng(request.seed)
    after = None if request.after is None else request.after.toordinal()
    before = None if request.before is None else request.before.toordinal()
    asking = protocols.within(drawings.days, after, before)
    if request.protocol in DATED:
        asking &= drawings.days != UNDATED
        queries = protocols.choose(asking, request.sample, dice)
        if request.protocol == "class-temporal":
            return protocols.class_temporal(drawings, queries, classes)
        return protocols.citation_temporal(drawings, queries, classes, material.citations)
    if request.protocol == "same-patent":
        return protocols.same_patent(drawings, protocols.choose(asking, request.sample, dice), classes)
    if request.texts == "titles":
        texts = protocols.from_titles(drawings, material.titles)
    else:
        texts = protocols.from_descriptions(drawings, material.described, dice)
    if request.protocol == "text-to-drawing":
        queries = protocols.choose(asking[texts.written_for], request.sample, dice)
        return protocols.text_to_drawing(drawings, queries, classes, texts, encode)
    queries = protocols.choose(asking & texts.askable, request.sample, dice)
    return protocols.drawing_to_text(drawings, queries, classes, texts, encode)
