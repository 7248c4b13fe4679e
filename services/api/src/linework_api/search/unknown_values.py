"""Warnings about filters: values that nothing in the corpus has. A typo would otherwise look like an empty corpus.

A normal search pays nothing: the only value of a filter is there if anything passed, and each value that was seen once
is remembered. The others are looked up, each once a snapshot.
"""

from threading import Lock

from cachetools import LRUCache
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api.search import repository
from linework_api.search.counts import Counts
from linework_api.search.schemas import Filters, FilterWarning
from linework_core import patent_ids
from linework_core.corpus import visible
from linework_core.scope import Scope
from linework_core.tables import Citation, Patent

REMEMBERED = 10_000  # values
PROPERTIES = {"locarno": "class", "office": "office", "view": "view"}
Key = tuple[str, str, int | None]  # parameter, value, and the snapshot that lacks it


class KnownValues:
    """Which values of filters the corpus has; what it remembers is bounded, and shared by threads."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._known: LRUCache[Key, bool] = LRUCache(remembered)
        self._lock = Lock()

    def has(self, session: Session, parameter: str, value: str, snapshot: int) -> bool:
        """Whether any drawing has this class, office or view at the snapshot, or had it at one that was asked about."""
        with self._lock:
            if (parameter, value, None) in self._known:
                return True
            if (parameter, value, snapshot) in self._known:
                return False
        alone = Scope(snapshot, **{parameter: (value,)})  # type: ignore[arg-type]
        statement = f"SELECT EXISTS (SELECT FROM drawings WHERE {alone.sql('drawings')})"
        [(there,)] = repository.ask(session, statement, alone.params())
        self.learn(parameter, value, None if there else snapshot)
        return bool(there)

    def learn(self, parameter: str, value: str, lacking: int | None = None) -> None:
        """Remember that the corpus has a value, or that this snapshot lacks it."""
        with self._lock:
            self._known[parameter, value, lacking] = True


def warnings(
    session: Session, known: KnownValues, filters: Filters, counts: Counts, snapshot: int
) -> list[FilterWarning]:
    """What is asked for and nothing has."""
    told = [
        FilterWarning(parameter=name, value=value, detail=f"Nothing in the corpus has this {PROPERTIES[name]}.")
        for name, value in _lacking(session, known, filters, counts, snapshot)
    ]
    return [*told, *_citations(session, filters, snapshot), *_excluded(session, filters)]


def _lacking(
    session: Session, known: KnownValues, filters: Filters, counts: Counts, snapshot: int
) -> list[tuple[str, str]]:
    """Parameters with the values that no drawing has."""
    lacking: list[tuple[str, str]] = []
    for name in PROPERTIES:
        values: list[str] = getattr(filters, name)
        if len(values) == 1 and counts.eligible + counts.unindexed + counts.undated:
            known.learn(name, values[0])
            continue
        lacking += [(name, value) for value in dict.fromkeys(values) if not known.has(session, name, value, snapshot)]
    return lacking


def _citations(session: Session, filters: Filters, snapshot: int) -> list[FilterWarning]:
    told: list[FilterWarning] = []
    if filters.cites is not None:
        numbers = patent_ids.citation_readings(filters.cites)
        citing = select(Citation.row_id).join(Patent, Patent.row_id == Citation.patent_row)
        citing = citing.where(Citation.number.in_(numbers), visible(Patent, snapshot)).limit(1)
        if session.scalar(citing) is None:
            told.append(FilterWarning(parameter="cites", value=filters.cites, detail="No patent cites this document."))
    if filters.cited_by is not None:
        patent = patent_ids.resolve_one(session, filters.cited_by)
        if not repository.has_patent(session, patent, snapshot):
            detail = "There is no such patent, so nothing is cited by it."
            told.append(FilterWarning(parameter="cited_by", value=filters.cited_by, detail=detail))
    return told


def _excluded(session: Session, filters: Filters) -> list[FilterWarning]:
    meant = {text: patent_ids.readings(text) for text in filters.exclude}
    ids = [reading for readings in meant.values() for reading in readings]
    there = set(session.scalars(select(Patent.patent_id).where(Patent.patent_id.in_(ids)))) if ids else set()
    return [
        FilterWarning(parameter="exclude", value=text, detail="There is no such patent, so none is left out.")
        for text, readings in meant.items()
        if there.isdisjoint(readings)
    ]
