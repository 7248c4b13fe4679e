"""Choosing how a search is ranked, and ranking it.

Pictures alone go to the planner (planner.py), which scans or asks the index. Words, groups and later pages are ranked
by the whole score (scoring.py): exactly while that is quick, else over candidates of either side, each of which is
scored on both.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from linework_api.search import ranking, scoring
from linework_api.search.pages import Before
from linework_api.search.schemas import SearchOptions
from linework_api.search.scoring import Scored
from linework_api.search.target import Target
from linework_core.encoders import EncoderFacts
from linework_core.scope import Scope

SCAN_AT_MOST = 50_000  # eligible drawings that are scored on words and pictures without asking an index first
CANDIDATES = 4  # times the limit, from each side of a search by words and pictures
AT_LEAST = 200
LATER_PAGE = {"way": "scan", "why": "a later page"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A ranked page. `plan` tells how it came about."""

    hits: list[Scored]
    exact: bool
    plan: dict[str, Any]


class Finder:
    """Ranks one target in one scope."""

    def __init__(self, session: Session, encoder: EncoderFacts, target: Target, scope: Scope, *, eligible: int) -> None:
        self.session = session
        self.encoder = encoder
        self.target = target
        self.scope = scope
        self.eligible = eligible

    def first_page(self, options: SearchOptions) -> Finding:
        """The best hits, by the way that is quickest."""
        by_patent, wanted = options.group_by == "patent", min(options.limit, self.eligible)
        if self.target.pictures_only and not by_patent:
            return self._by_pictures(options)
        if options.mode == "exact" or (options.mode == "auto" and self.eligible <= SCAN_AT_MOST):
            hits = self._scan(options.limit, by_patent=by_patent)
            return Finding(hits, True, {"way": "scan", "eligible": self.eligible})
        hits, candidates = self._by_candidates(options.limit, by_patent)
        if len(hits) < wanted:
            hits = self._scan(options.limit, by_patent=by_patent)
            return Finding(hits, True, {"way": "scan", "why": "too few candidates", "candidates": candidates})
        return Finding(hits, False, {"way": "candidates", "candidates": candidates})

    def _by_pictures(self, options: SearchOptions) -> Finding:
        assert self.target.vectors is not None
        ranked = ranking.rank(
            self.session, self.encoder, self.target.vectors, self.scope, options.limit, mode=options.mode
        )
        return Finding(
            [Scored(f.drawing_row, f.drawing_id, f.patent_id, f.score, f.score, None) for f in ranked.found],
            ranked.exact,
            ranked.plan.as_json(),
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

    def _scan(self, limit: int, *, by_patent: bool) -> list[Scored]:
        return scoring.rank(self.session, self.encoder, self.target, self.scope, limit, by_patent=by_patent)


def later_page(
    session: Session,
    encoder: EncoderFacts,
    target: Target,
    scope: Scope,
    limit: int,
    before: Before,
    *,
    by_patent: bool,
) -> Finding:
    """The best hits but for those of earlier pages, exactly."""
    hits = scoring.rank(
        session, encoder, target, scope, limit, after=before.position, without=before.rows, by_patent=by_patent
    )
    return Finding(hits, True, LATER_PAGE)
