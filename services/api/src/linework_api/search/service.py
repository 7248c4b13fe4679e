"""From a query to an answer: what is looked for, where, the ranking, the counts, the record."""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from pgvector import HalfVector
from sqlalchemy.orm import Session

from linework_api.search import pages, records, repository, walking
from linework_api.search.answers import Answer, assemble
from linework_api.search.counts import Counts
from linework_api.search.finding import Finder, Finding, later_page
from linework_api.search.pages import Before, Recorded, Unrecorded
from linework_api.search.pictures import QueryDrawings
from linework_api.search.repository import Queried
from linework_api.search.schemas import (
    QueryPart,
    Refinement,
    SearchAnswer,
    SearchOptions,
    StoredQuery,
)
from linework_api.search.scope import resolve
from linework_api.search.target import Target, Vectors, moved
from linework_api.search.unknown_values import warnings
from linework_api.state import SearchResources
from linework_core import encoders, patent_ids, store
from linework_core.encoders import EncoderFacts
from linework_core.errors import NotFound, Unprocessable
from linework_core.scope import Scope

NO_VECTORS = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Question:
    """A search as it is understood: what is looked for, and where. `described` is what else its record says of it."""

    target: Target
    scope: Scope
    options: SearchOptions
    described: dict[str, Any]
    parts: list[QueryPart] | None = None  # of a query's pictures

    @property
    def request(self) -> dict[str, Any]:
        """The search as it was asked, for its record."""
        return _request(self.options, self.described)


class SearchService:
    """One search on one session: its snapshot and its encoder are taken once, at the start."""

    def __init__(
        self,
        session: Session,
        resources: SearchResources,
        *,
        caller: str,
        cursor: str | None = None,
        at: tuple[int, int] | None = None,
    ) -> None:
        """`at` is the snapshot and the number of the encoder of a batch; without it they are the newest and active."""
        self.began = time.perf_counter()
        self.session = session
        self.resources = resources
        self.caller = caller
        newest, number = at or repository.now(session)
        if at is not None:
            encoders.check_vectors(session, number, newest)
        self.encoder = self._encoder(number)
        self.place = None if cursor is None else pages.read(cursor)
        self.snapshot = min(newest, self.place.snapshot) if isinstance(self.place, Unrecorded) else newest

    def _encoder(self, number: int) -> EncoderFacts:
        """An encoder is read once a process, as values: a row would be forgotten with a session that rolls back."""
        known = self.resources.encoders
        if number not in known:
            known[number] = encoders.facts(self.session, number)
        return known[number]

    def by_images(self, drawings: QueryDrawings, asked: Refinement, options: SearchOptions) -> SearchAnswer:
        """Search by pictures that the caller sent, already decoded."""
        if isinstance(self.place, Recorded):
            return self._next_page(self.place, options, _described(drawings, asked))
        return self._answer(self.ask_images(drawings, asked, options))

    def by_stored(self, query: StoredQuery) -> SearchAnswer:
        """Search by a drawing or a patent of the corpus, by words, or by what was liked. Raises NotFound."""
        if isinstance(self.place, Recorded):
            return self._next_page(self.place, query, {})
        return self._answer(self.ask_stored(query))

    def ask_images(self, drawings: QueryDrawings, asked: Refinement, options: SearchOptions) -> Question:
        """What `by_images` would search by. Raises Unavailable where the embedder does not answer."""
        vectors = self.resources.embedder.embed_drawings([one.png for one in drawings.decoded], self.encoder.encoder_id)
        scope = resolve(self.session, options, self.snapshot)
        return Question(self._target(vectors, asked), scope, options, _described(drawings, asked), drawings.parts)

    def ask_stored(self, query: StoredQuery) -> Question:
        """What `by_stored` would search by. Raises NotFound, and Unprocessable without drawings, or without a date."""
        drawings = self._stored(query)
        scope = resolve(self.session, query, self.snapshot, _own_date(drawings, query))
        if drawings:
            own = drawings[0].patent_id
            kin = query.family == "exclude"
            scope = scope.leaving_out(
                repository.family_of(self.session, own, self.snapshot) if kin else frozenset({own})
            )
        target = self._target(self._vectors(drawings) if drawings else None, query)
        return Question(target, scope, query, {})

    def keep(self, question: Question) -> UUID:
        """Rank, and write the record only: the answer is put together when somebody reads it."""
        search_id = uuid4()
        self._keep(search_id, question, self._rank(question, search_id))
        return search_id

    # ---- what is looked for

    def _stored(self, query: StoredQuery) -> list[Queried]:
        """The query's drawings; none for a query in words."""
        if query.drawing is not None:
            return self._drawings([query.drawing])
        if query.patent is None:
            return []
        patent = patent_ids.resolve_one(self.session, query.patent)
        found = repository.queried(self.session, self.encoder, self.snapshot, patent=patent)
        if not found and not repository.has_patent(self.session, patent, self.snapshot):
            raise NotFound(f"There is no patent {query.patent}.")
        if not found:
            raise Unprocessable(f"{query.patent} has no drawings to search by.")
        return found

    def _drawings(self, drawing_ids: list[str]) -> list[Queried]:
        found = repository.queried(self.session, self.encoder, self.snapshot, drawings=drawing_ids)
        missing = set(drawing_ids) - {drawing.drawing_id for drawing in found}
        if missing:
            raise NotFound(f"There is no drawing {min(missing)}.")
        return found

    def _vectors(self, drawings: list[Queried]) -> Vectors:
        """Stored vectors (m, d); a drawing that is not indexed yet is embedded on the spot."""
        missing = [drawing.derivative for drawing in drawings if drawing.vector is None]
        fresh: dict[str, Any] = {}
        if missing:
            pictures = [store.get(self.resources.store, store.derivative_key(one)) for one in missing]
            embedded = self.resources.embedder.embed_drawings(pictures, self.encoder.encoder_id)
            fresh = dict(zip(missing, embedded, strict=True))
        known = (fresh[one.derivative] if one.vector is None else one.vector for one in drawings)
        return np.stack([_as_array(vector) for vector in known])

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

    def _answer(self, question: Question) -> SearchAnswer:
        """The record, or the note that there was a search, is written last: an answer that fails leaves none."""
        options = question.options
        search_id = uuid4() if options.record else None
        answer = self._rank(question, search_id)
        told = assemble(
            self.session, answer, question.target, question.scope, search_id=search_id, explain=options.explain
        )
        if search_id is not None:
            self._keep(search_id, question, answer)
        elif not answer.before:  # a walk through pages is one search
            repository.count_unrecorded(self.session, self.caller)
        return told

    def _next_page(self, place: Recorded, options: SearchOptions, described: dict[str, Any]) -> SearchAnswer:
        return walking.next_page(self.session, place, options, _request(options, described), caller=self.caller)

    def _rank(self, question: Question, search_id: UUID | None) -> Answer:
        """A page of a search; `search_id` is that of its record."""
        target, scope, options = question.target, question.scope, question.options
        by_patent, before = options.group_by == "patent", self._before(question)
        counts = self.resources.tally.count(self.session, self.encoder, scope, patents=by_patent)
        if before.hits:
            page = later_page(self.session, self.encoder, target, scope, options.limit, before, by_patent=by_patent)
        else:
            page = Finder(self.session, self.encoder, target, scope, eligible=counts.eligible).first_page(options)
        following = None
        if page.hits and before.hits + len(page.hits) < counts.eligible:
            following = self._cursor(question, before.with_page(page.hits, exact=page.exact), search_id)
        return self._understood(page, counts, question, before, following)

    def _before(self, question: Question) -> Before:
        """The earlier pages of a walk that leaves no record. Raises Unprocessable for a cursor of another search."""
        if not isinstance(self.place, Unrecorded):
            return Before()
        if question.options.record or self.place.request != pages.digest(question.request, self.encoder.encoder_id):
            raise Unprocessable("This cursor belongs to another search, or to an encoder that is not active any more.")
        return self.place.before

    def _cursor(self, question: Question, before: Before, search_id: UUID | None) -> str:
        if search_id is not None:
            return pages.cursor_of_record(search_id, before.hits)
        request = pages.digest(question.request, self.encoder.encoder_id)
        return pages.cursor_without_record(request, self.snapshot, before)

    def _keep(self, search_id: UUID, question: Question, answer: Answer) -> None:
        took = (time.perf_counter() - self.began) * 1000
        records.keep(
            self.session, search_id, self.caller, question.request, question.target, question.scope, answer,
            took_ms=took,
        )  # fmt: skip

    def _understood(
        self, page: Finding, counts: Counts, question: Question, before: Before, following: str | None
    ) -> Answer:
        scope, options = question.scope, question.options
        facets = repository.facets(self.session, self.encoder, scope, options.facets) if options.facets else None
        warned = warnings(self.session, self.resources.values, options, counts, scope.snapshot)
        head: dict[str, Any] = {
            "snapshot": scope.snapshot,
            "date_basis": scope.date_basis,
            "before": scope.before and scope.before.isoformat(),
            "after": scope.after and scope.after.isoformat(),
            "eligible": counts.eligible,
            "unindexed": counts.unindexed,
            "undated": counts.undated,
            "exact": page.exact,
            "warnings": [warning.model_dump() for warning in warned],
            "facets": facets,
            "next": following,
        }
        if question.parts is not None:
            head["query"] = {"parts": [part.model_dump(mode="json") for part in question.parts]}
        return Answer(self.encoder, page.hits, options.group_by, page.plan, head, before.hits)


def _request(options: SearchOptions, described: dict[str, Any]) -> dict[str, Any]:
    return options.model_dump(mode="json", exclude_unset=True) | described


def _described(drawings: QueryDrawings, asked: Refinement) -> dict[str, Any]:
    """What the record says of pictures: their hashes, and what came with them."""
    return asked.model_dump(exclude={"image"}, exclude_unset=True) | {"images": [one.hash for one in drawings.decoded]}


def _own_date(drawings: list[Queried], query: StoredQuery) -> dt.date | None:
    """What 'self' stands for. Raises Unprocessable where the patent has no such date."""
    if query.before != "self" or not drawings:
        return None
    day: dt.date | None = getattr(drawings[0], query.date_basis)
    if day is None:
        raise Unprocessable(f"{drawings[0].patent_id} has no date of the basis '{query.date_basis}'.")
    if query.after is not None and query.after >= day:
        raise Unprocessable(f"'after' must be earlier than 'before', which is {day}.")
    return day


def _as_array(vector: Any) -> Vectors:
    return np.asarray(vector.to_numpy() if isinstance(vector, HalfVector) else vector, np.float32)
