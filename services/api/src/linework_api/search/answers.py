"""Putting an answer together from ranked drawings."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from linework_api.patents.links import picture_links
from linework_api.search import repository, scoring
from linework_api.search.repository import Shown
from linework_api.search.schemas import (
    Another,
    EncoderName,
    Hit,
    HitDrawing,
    HitPatent,
    Scores,
    SearchAnswer,
)
from linework_api.search.scoring import Scored
from linework_api.search.target import Target
from linework_core.encoders import EncoderFacts
from linework_core.scope import Scope

DECIMALS = 6  # of the scores that are shown; the record keeps all


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found. `head` holds the answer's own members: counts, facets, dates, `exact`, `next`.

    `before` is how many hits earlier pages have.
    """

    encoder: EncoderFacts
    hits: list[Scored]
    group_by: str
    plan: dict[str, Any]
    head: dict[str, Any]
    before: int = 0


def assemble(
    session: Session, answer: Answer, target: Target, scope: Scope, *, search_id: UUID | None, explain: bool = False
) -> SearchAnswer:
    """The answer with what each hit shows; with groups, also their other drawings."""
    others = _others(session, answer, target, scope) if answer.group_by == "patent" else None
    rows = [hit.row for hit in answer.hits] + [one.row for group in (others or {}).values() for one in group]
    details = repository.details(session, rows)
    return SearchAnswer(
        search_id=search_id,
        encoder=EncoderName(id=answer.encoder.encoder_id, name=answer.encoder.name),
        plan=answer.plan if explain else None,
        hits=[_hit(rank, hit, details, others) for rank, hit in enumerate(answer.hits, start=answer.before + 1)],
        **answer.head,
    )


Details = dict[int, Shown]


def _others(session: Session, answer: Answer, target: Target, scope: Scope) -> dict[str, list[Scored]]:
    """The eligible drawings of the hits' patents beside the best, by patent."""
    patents = [hit.patent_id for hit in answer.hits]
    best = {hit.row for hit in answer.hits}
    grouped: dict[str, list[Scored]] = defaultdict(list)
    if patents:
        within = scope.only(frozenset(patents))
        for one in scoring.rank(session, answer.encoder, target, within, None):
            if one.row not in best:
                grouped[one.patent_id].append(one)
    return grouped


def _hit(rank: int, found: Scored, details: Details, others: dict[str, list[Scored]] | None) -> Hit:
    shown = details.get(found.row)
    more = None
    if others is not None:
        # without details: erased since the ranking
        group = [(one, details.get(one.row)) for one in others.get(found.patent_id, [])]
        more = [Another(score=_rounded(one.score), drawing=_drawing(its)) for one, its in group if its]
    return Hit(
        rank=rank,
        score=_rounded(found.score),
        scores=Scores(
            image=None if found.image is None else _rounded(found.image),
            text=None if found.text is None else _rounded(found.text),
        ),
        patent=_patent(shown, found),
        drawing=_drawing(shown) if shown else _erased_drawing(found.drawing_id),
        more=more,
        erased=shown is None,
    )


def _patent(shown: Shown | None, found: Scored) -> HitPatent:
    if shown is None:  # rows of drawings go with an erasure only
        return HitPatent(id=found.patent_id, title=None, granted=None, filed=None, locarno=None)
    return HitPatent(
        id=shown.patent_id, title=shown.title, granted=shown.granted, filed=shown.filed, locarno=shown.locarno
    )


def _rounded(score: float) -> float:
    return round(score, DECIMALS)


def _erased_drawing(drawing_id: str) -> HitDrawing:
    return HitDrawing(id=drawing_id, caption=None, view=None, **picture_links(drawing_id, None))


def _drawing(shown: Shown) -> HitDrawing:
    return HitDrawing(
        id=shown.drawing_id,
        caption=shown.caption,
        view=shown.view,
        **picture_links(shown.drawing_id, shown.added_in),
    )
