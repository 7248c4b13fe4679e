"""From a query to an answer: vectors, ranking, counts, record."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy.orm import Session

from linework_api.search import repository
from linework_api.search.repository import Found, Vectors
from linework_api.search.schemas import (
    EncoderName,
    Hit,
    HitDrawing,
    HitPatent,
    Scores,
    SearchAnswer,
    SearchOptions,
    SearchRecord,
    StoredQuery,
)
from linework_api.search.scope import Scope
from linework_api.state import Resources
from linework_core import encoders, store
from linework_core.corpus import current_snapshot
from linework_core.errors import NotFound, Unprocessable
from linework_core.tables import Drawing, Encoder, Figure, Patent, Search


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: drawings as unit vectors (m, d), and the patents that must not be found."""

    vectors: Vectors
    without: frozenset[str] = frozenset()
    described: dict[str, Any] = field(default_factory=dict)  # for the record


class SearchService:
    """One search on one session: its snapshot is taken once, at the start."""

    def __init__(self, session: Session, resources: Resources, *, caller: str) -> None:
        self.session = session
        self.resources = resources
        self.caller = caller
        self.snapshot = current_snapshot(session)
        self.encoder = encoders.active(session)

    def by_images(self, images: list[bytes], options: SearchOptions) -> SearchAnswer:
        """Search by pictures that the caller sent. Raises UnreadableImage."""
        decoded = [self.resources.decoder.decode(image) for image in images]
        vectors = self.resources.embedder.embed_drawings([one.png for one in decoded], self.encoder.encoder_id)
        described = {"images": [one.hash for one in decoded]}
        return self._answer(Query(vectors, described=described), options)

    def by_stored(self, query: StoredQuery) -> SearchAnswer:
        """Search by a drawing or a patent of the corpus. Raises NotFound."""
        patent_id, drawings = self._stored_drawings(query)
        without = frozenset({patent_id})
        if query.family == "exclude":
            without = repository.family_of(self.session, patent_id, self.snapshot)
        described = {"drawing": query.drawing, "patent": query.patent, "family": query.family}
        return self._answer(Query(self._vectors(drawings), without, described), query)

    def _stored_drawings(self, query: StoredQuery) -> tuple[str, list[Drawing]]:
        if query.drawing is not None:
            drawing = repository.drawing_at(self.session, query.drawing, self.snapshot)
            if drawing is None:
                raise NotFound(f"There is no drawing {query.drawing}.")
            return drawing.patent_id, [drawing]
        assert query.patent is not None
        patent = repository.patent_at(self.session, query.patent, self.snapshot)
        if patent is None:
            raise NotFound(f"There is no patent {query.patent}.")
        drawings = list(repository.drawings_of(self.session, patent))
        if not drawings:
            raise Unprocessable(f"{query.patent} has no drawings to search by.")
        return patent.patent_id, drawings

    def _vectors(self, drawings: list[Drawing]) -> Vectors:
        """Stored vectors; a drawing that is not indexed yet is embedded on the spot."""
        known = repository.vectors_of(self.session, self.encoder, drawings, self.snapshot)
        missing = [drawing for drawing in drawings if drawing.row_id not in known]
        if missing:
            pictures = [store.get(self.resources.store, store.derivative_key(d.derivative)) for d in missing]
            fresh = self.resources.embedder.embed_drawings(pictures, self.encoder.encoder_id)
            known |= {drawing.row_id: vector for drawing, vector in zip(missing, fresh, strict=True)}
        return np.stack([known[drawing.row_id] for drawing in drawings])

    def _answer(self, query: Query, options: SearchOptions) -> SearchAnswer:
        scope = Scope(options, self.snapshot, query.without)
        found = repository.rank(self.session, self.encoder, query.vectors, scope, options.limit)
        counts = repository.count(self.session, self.encoder, scope)
        record = Search(owner=self.caller, encoder=self.encoder.number, snapshot=self.snapshot)
        record.request = options.model_dump(mode="json", exclude_unset=True) | query.described
        record.answer = {}
        self.session.add(record)
        self.session.flush()
        answer = SearchAnswer(
            search_id=record.id,
            snapshot=self.snapshot,
            encoder=_name(self.encoder),
            **options.model_dump(include={"date_basis", "before", "after"}),
            eligible=counts.eligible,
            unindexed=counts.unindexed,
            undated=counts.undated,
            exact=True,
            next=None,
            hits=self._hits(found),
        )
        record.answer = answer.model_dump(mode="json")
        return answer

    def _hits(self, found: list[Found]) -> list[Hit]:
        details = repository.details(self.session, (one.drawing_row for one in found))
        return [_hit(rank, one.score, *details[one.drawing_row]) for rank, one in enumerate(found, start=1)]


def _name(encoder: Encoder) -> EncoderName:
    return EncoderName(id=encoder.encoder_id, name=encoder.name)


def _hit(rank: int, score: float, drawing: Drawing, patent: Patent, figure: Figure | None) -> Hit:
    score = round(score, 6)
    picture = f"/drawings/{drawing.drawing_id}/image"
    return Hit(
        rank=rank,
        score=score,
        scores=Scores(image=score, text=None),
        patent=HitPatent(
            id=patent.patent_id,
            title=patent.title,
            granted=patent.granted,
            filed=patent.filed,
            locarno=patent.locarno,
        ),
        drawing=HitDrawing(
            id=drawing.drawing_id,
            caption=figure.caption if figure else None,
            view=figure.view if figure else None,
            image=picture,
            thumbnail=f"{picture}?size=128",
        ),
    )


def recall(session: Session, search_id: UUID, *, owner: str | None) -> SearchRecord:
    """A search as it was answered. Raises NotFound, also for another owner's (`owner` None reads all)."""
    kept = repository.find_search(session, search_id)
    if kept is None or (owner is not None and kept.owner != owner):
        raise NotFound(f"There is no search {search_id}.")
    answer = SearchAnswer.model_validate(kept.answer)
    return SearchRecord(id=kept.id, created_at=kept.created_at, request=kept.request, answer=answer)
