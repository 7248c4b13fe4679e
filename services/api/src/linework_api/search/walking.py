"""The next page of a search that has a record: its hits join those that the record holds."""

from typing import Any

from sqlalchemy.orm import Session

from linework_api.search import finding, pages, records, repository
from linework_api.search.answers import Answer, assemble
from linework_api.search.pages import Before, Recorded
from linework_api.search.schemas import SearchAnswer, SearchOptions
from linework_api.search.scoring import Scored
from linework_core import encoders, erasures
from linework_core.errors import Gone, Unavailable, Unprocessable
from linework_core.tables import Search

MOST_HITS = 10_000  # of one record: it is read, and written again, as a whole
ATTEMPTS = 20


def next_page(
    session: Session, place: Recorded, options: SearchOptions, request: dict[str, Any], *, caller: str
) -> SearchAnswer:
    """The page at a place. One that was fetched before is read from the record, so that it is the same again.

    Raises Gone where the record, or what it was ranked by, is not kept any more, and Unprocessable for a cursor of
    another caller's or another search.
    """
    for _ in range(ATTEMPTS):
        record = _record(session, place, request, caller)
        answer, added = _page(session, record, place.hits, options)
        if not added or records.extend(session, record, added, following=answer.next):
            return answer
    raise Unavailable("Other requests read pages of this search at the same time.", retry_after=1)


def _record(session: Session, place: Recorded, request: dict[str, Any], caller: str) -> Search:
    record = repository.find_search(session, place.search_id)
    if record is None:
        raise Gone("The record of this search is not kept any more: search again, without a cursor.")
    erasures.check_shown(record.erased)
    same = pages.same_on_all_pages(record.request) == pages.same_on_all_pages(request)
    if record.owner != caller or not same or place.hits > len(record.rows):
        raise Unprocessable("This cursor belongs to another search.")
    if place.hits >= MOST_HITS:
        detail = f"A record holds {MOST_HITS:,} hits at most: filter more, or search with 'record=false'."
        raise Unprocessable(detail)
    return record


def _page(session: Session, record: Search, before: int, options: SearchOptions) -> tuple[SearchAnswer, list[Scored]]:
    """The answer, and those of its hits that the record does not hold yet."""
    encoder = encoders.facts(session, record.encoder)
    target, scope = records.understood(record, encoder)
    stored, by_patent = records.hits_of(record), record.query["group_by"] == "patent"
    hits, eligible = stored[before : before + options.limit], record.answer["eligible"]
    lacking = min(before + options.limit, eligible, MOST_HITS) - before - len(hits)
    added: list[Scored] = []
    if lacking > 0:
        encoders.check_vectors(session, record.encoder, record.snapshot)
        known = Before.of_record(stored, exact=record.answer["exact"])
        added = finding.later_page(session, encoder, target, scope, lacking, known, by_patent=by_patent).hits
    end = before + len(hits) + len(added)
    following = pages.cursor_of_record(record.id, end) if before < end < eligible else None
    head = record.answer | {"exact": True, "next": following}
    answer = Answer(encoder, hits + added, record.query["group_by"], finding.LATER_PAGE, head, before)
    named = record.id if record.request.get("record", True) else None
    return assemble(session, answer, target, scope, search_id=named, explain=options.explain), added
