"""From a query to an answer: what is looked for, where, the ranking, the counts, the record."""

import datetime as dt
import time
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from linework_api.search import records, repository
from linework_api.search.answers import Answer, assemble
from linework_api.search.finding import Finder, Finding, snapshot_of
from linework_api.search.schemas import (
    Crop,
    ImageForm,
    ImageOptions,
    Refinement,
    SearchAnswer,
    SearchOptions,
    StoredQuery,
)
from linework_api.search.scope import Scope, resolve
from linework_api.search.target import Target, Vectors, moved
from linework_api.state import Resources
from linework_core import encoders, store
from linework_core.bounded import Decoded
from linework_core.corpus import current_snapshot
from linework_core.errors import NotFound, Unprocessable
from linework_core.tables import Drawing, Encoder, Patent

NO_VECTORS = np.zeros((0, 0), np.float32)


class SearchService:
    """One search on one session: its snapshot is taken once, at the start."""

    def __init__(self, session: Session, resources: Resources, *, caller: str, cursor: str | None = None) -> None:
        self.began = time.perf_counter()
        self.session = session
        self.resources = resources
        self.caller = caller
        newest = current_snapshot(session)
        self.snapshot = newest if cursor is None else min(newest, snapshot_of(cursor))
        self.encoder: Encoder = encoders.active(session)

    def by_images(self, decoded: list[Decoded], form: ImageForm, options: ImageOptions) -> SearchAnswer:
        """Search by pictures that the caller sent, already decoded."""
        vectors = self.resources.embedder.embed_drawings([one.png for one in decoded], self.encoder.encoder_id)
        scope = resolve(self.session, options, self.snapshot)
        described = form.model_dump(exclude={"image"}, exclude_unset=True) | {"images": [one.hash for one in decoded]}
        return self._search(self._target(vectors, form), scope, options, described)

    def by_stored(self, query: StoredQuery) -> SearchAnswer:
        """Search by a drawing or a patent of the corpus, by words, or by what was liked. Raises NotFound."""
        patent, drawings = self._stored(query)
        own_date = _own_date(patent, query)
        scope = resolve(self.session, query, self.snapshot, own_date)
        if patent is not None:
            own = frozenset({patent.patent_id})
            kin = query.family == "exclude"
            scope = scope.leaving_out(
                repository.family_of(self.session, patent.patent_id, self.snapshot) if kin else own
            )
        target = self._target(self._vectors(drawings) if drawings else None, query)
        return self._search(target, scope, query, {})

    # ---- what is looked for

    def _stored(self, query: StoredQuery) -> tuple[Patent | None, list[Drawing]]:
        if query.drawing is not None:
            drawing = self._drawings([query.drawing])[0]
            return self.session.get_one(Patent, drawing.patent_row), [drawing]
        if query.patent is None:
            return None, []
        patent = repository.patent_at(self.session, query.patent, self.snapshot)
        if patent is None:
            raise NotFound(f"There is no patent {query.patent}.")
        drawings = list(repository.drawings_of(self.session, patent))
        if not drawings:
            raise Unprocessable(f"{query.patent} has no drawings to search by.")
        return patent, drawings

    def _drawings(self, drawing_ids: list[str]) -> list[Drawing]:
        found = repository.drawings_at(self.session, drawing_ids, self.snapshot)
        for drawing_id in drawing_ids:
            if drawing_id not in found:
                raise NotFound(f"There is no drawing {drawing_id}.")
        return [found[drawing_id] for drawing_id in drawing_ids]

    def _vectors(self, drawings: list[Drawing]) -> Vectors:
        """Stored vectors (m, d); a drawing that is not indexed yet is embedded on the spot."""
        rows = [drawing.row_id for drawing in drawings]
        known = repository.vectors_of(self.session, self.encoder, rows, self.snapshot)
        missing = [drawing for drawing in drawings if drawing.row_id not in known]
        if missing:
            pictures = [store.get(self.resources.store, store.derivative_key(d.derivative)) for d in missing]
            fresh = self.resources.embedder.embed_drawings(pictures, self.encoder.encoder_id)
            known |= {drawing.row_id: vector for drawing, vector in zip(missing, fresh, strict=True)}
        return np.stack([known[row] for row in rows])

    def _target(self, vectors: Vectors | None, asked: Refinement) -> Target:
        liked, disliked = (
            self._vectors(self._drawings(ids)) if ids else NO_VECTORS for ids in (asked.like, asked.unlike)
        )
        text_vector = None
        if asked.q is not None and self.encoder.has_text:
            text_vector = self.resources.embedder.embed_texts([asked.q], self.encoder.encoder_id)[0]
        vectors = moved(vectors, liked, disliked)
        return Target.of(vectors, asked.q, text_vector, (asked.image_weight, asked.text_weight))

    # ---- the answer

    def _search(self, target: Target, scope: Scope, options: SearchOptions, described: dict[str, Any]) -> SearchAnswer:
        counts = repository.count(self.session, self.encoder, scope, patents=options.group_by == "patent")
        finder = Finder(self.session, self.encoder, target, scope, eligible=counts.eligible)
        found = finder.find(options)
        answer = self._understood(found, counts, scope, options)
        search_id = None
        if options.record:
            request = options.model_dump(mode="json", exclude_unset=True) | described
            took = (time.perf_counter() - self.began) * 1000
            search_id = records.keep(self.session, self.caller, request, target, scope, answer, took).id
        else:
            repository.count_unrecorded(self.session, self.caller)
        return assemble(self.session, answer, target, scope, search_id=search_id, explain=options.explain)

    def _understood(self, found: Finding, counts: repository.Counts, scope: Scope, options: SearchOptions) -> Answer:
        facets = repository.facets(self.session, self.encoder, scope, options.facets) if options.facets else None
        head = {
            "snapshot": scope.snapshot,
            "date_basis": scope.date_basis,
            "before": scope.before and scope.before.isoformat(),
            "after": scope.after and scope.after.isoformat(),
            "eligible": counts.eligible,
            "unindexed": counts.unindexed,
            "undated": counts.undated,
            "exact": found.exact,
            "facets": facets,
            "next": found.next,
        }
        return Answer(self.encoder, found.hits, options.group_by, found.plan, head)


def _own_date(patent: Patent | None, query: StoredQuery) -> dt.date | None:
    """What 'self' stands for. Raises Unprocessable where the patent has no such date."""
    if query.before != "self" or patent is None:
        return None
    day: dt.date | None = getattr(patent, query.date_basis)
    if day is None:
        raise Unprocessable(f"{patent.patent_id} has no date of the basis '{query.date_basis}'.")
    if query.after is not None and query.after >= day:
        raise Unprocessable(f"'after' must be earlier than 'before', which is {day}.")
    return day


def decode(resources: Resources, pictures: list[bytes], form: ImageForm) -> list[Decoded]:
    """The derivatives of a query's pictures, cropped as asked. Raises UnreadableImage, Unprocessable."""
    if len(form.crop) > len(pictures) or len(form.page) > len(pictures):
        raise Unprocessable("There are more crops or pages than pictures.")
    crops = [Crop.parse(text) for text in form.crop] + [None] * (len(pictures) - len(form.crop))
    pages = form.page + [1] * (len(pictures) - len(form.page))
    return [
        resources.decoder.decode(picture, page=page, crop=crop.box if crop else None)
        for picture, crop, page in zip(pictures, crops, pages, strict=True)
    ]
