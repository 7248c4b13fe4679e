"""Choosing how a search is ranked, and ranking it.

Pictures alone go to the planner (planner.py), which scans or asks the index. Words, groups and later pages are ranked
by the whole score (scoring.py): exactly while that is quick, else over candidates of either side, each of which is
scored on both.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from linework_api import cursors
from linework_api.search import ranking, scoring
from linework_api.search.schemas import SearchOptions
from linework_api.search.scoring import Position, Scored
from linework_api.search.target import Target
from linework_core.encoders import EncoderFacts
from linework_core.errors import Unprocessable
from linework_core.scope import Scope

SCAN_AT_MOST = 50_000  # eligible drawings that are scored on words and pictures without asking an index first
CANDIDATES = 4  # times the limit, from each side of a search by words and pictures
AT_LEAST = 200
# query, snapshot, and the last hit's score and drawing
PAGE: TypeAdapter[tuple[str, int, float, str]] = TypeAdapter(
    tuple[cursors.Text, cursors.Number, cursors.Score, cursors.Text]
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A ranked page. `plan` tells how it came about; `next` is where the following page begins."""

    hits: list[Scored]
    exact: bool
    plan: dict[str, Any]
    next: str | None


class Finder:
    """Ranks one target in one scope."""

    def __init__(self, session: Session, encoder: EncoderFacts, target: Target, scope: Scope, *, eligible: int) -> None:
        self.session = session
        self.encoder = encoder
        self.target = target
        self.scope = scope
        self.eligible = eligible

    def find(self, options: SearchOptions) -> Finding:
        """Raises Unprocessable for a cursor that belongs to another search."""
        by_patent, wanted = options.group_by == "patent", min(options.limit, self.eligible)
        after = self._position(options.cursor)
        if after is not None:
            hits = self._scan(options.limit, after=after, by_patent=by_patent)
            found = Finding(hits, True, {"way": "scan", "why": "a later page"}, None)
        else:
            found = self._first_page(options, wanted, by_patent)
        more = len(found.hits) == options.limit and (after is not None or self.eligible > len(found.hits))
        return replace(found, next=self._cursor(found.hits[-1])) if more else found

    def _first_page(self, options: SearchOptions, wanted: int, by_patent: bool) -> Finding:
        if self.target.pictures_only and not by_patent:
            return self._by_pictures(options)
        if options.mode == "exact" or (options.mode == "auto" and self.eligible <= SCAN_AT_MOST):
            hits = self._scan(options.limit, by_patent=by_patent)
            return Finding(hits, True, {"way": "scan", "eligible": self.eligible}, None)
        hits, candidates = self._by_candidates(options.limit, by_patent)
        if len(hits) < wanted:
            hits = self._scan(options.limit, by_patent=by_patent)
            return Finding(hits, True, {"way": "scan", "why": "too few candidates", "candidates": candidates}, None)
        return Finding(hits, False, {"way": "candidates", "candidates": candidates}, None)

    def _by_pictures(self, options: SearchOptions) -> Finding:
        assert self.target.vectors is not None
        ranked = ranking.rank(
            self.session, self.encoder, self.target.vectors, self.scope, options.limit, mode=options.mode
        )
        return Finding(
            [Scored(f.drawing_row, f.drawing_id, f.patent_id, f.score, f.score, None) for f in ranked.found],
            ranked.exact,
            ranked.plan.as_json(),
            None,
        )

    def _by_candidates(self, limit: int, by_patent: bool) -> tuple[list[Scored], int]:
        """Score what either side finds. A group needs more, for one patent may fill many places."""
        depth = max(AT_LEAST, CANDIDATES * limit) * (4 if by_patent else 1)
        rows: set[int] = set()
        vectors = [self.target.vectors, self.target.text_vector]
        for side in (side.reshape(-1, side.shape[-1]) for side in vectors if side is not None):
            ranked = ranking.rank(self.session, self.encoder, side, self.scope, depth, mode="auto")
            rows.update(found.drawing_row for found in ranked.found)
        if self.target.text is not None:
            rows.update(scoring.best_by_words(self.session, self.encoder, self.target.text, self.scope, depth))
        if self.target.text_vector is not None:
            told = self.target.text_vector
            rows.update(scoring.best_by_descriptions(self.session, self.encoder, told, self.scope, depth))
        hits = scoring.rank(self.session, self.encoder, self.target, self.scope, limit, among=rows, by_patent=by_patent)
        return hits, len(rows)

    def _scan(self, limit: int, *, after: Position | None = None, by_patent: bool) -> list[Scored]:
        return scoring.rank(
            self.session, self.encoder, self.target, self.scope, limit, after=after, by_patent=by_patent
        )

    # ---- cursors: a position in the order of (score, drawing id), on one snapshot, of one query

    def _key(self) -> str:
        """What tells searches apart: another query or filter, and the cursor is not its own."""
        told = {"target": self.target.as_json(), "scope": self.scope.as_json(), "encoder": self.encoder.encoder_id}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        digest.update(self.target.vectors_as_bytes() or b"")
        return digest.hexdigest()[:32]

    def _cursor(self, last: Scored) -> str:
        return cursors.encode(self._key(), self.scope.snapshot, last.score, last.drawing_id)

    def _position(self, cursor: str | None) -> Position | None:
        if cursor is None:
            return None
        key, _, score, drawing_id = cursors.decode(cursor, PAGE)
        if key != self._key():
            raise Unprocessable("This cursor belongs to another search.")
        return score, drawing_id


def snapshot_of(cursor: str) -> int:
    """The snapshot that a cursor's pages are read at. Raises Unprocessable."""
    return cursors.decode(cursor, PAGE)[1]
