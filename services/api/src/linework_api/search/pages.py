"""A walk through pages is one search: where its next page begins, and what it must leave out.

A search with a record keeps what it has answered, so its cursor names the record and how many hits came before. A
search without one carries all of that in the cursor itself.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Field, TypeAdapter

from linework_api import cursors
from linework_api.search.scoring import Position, Scored
from linework_core.errors import Unprocessable

OF_A_PAGE = {"cursor", "limit", "explain"}  # parameters that may change from page to page


@dataclass(frozen=True, slots=True)
class Before:
    """The hits of earlier pages. The exact ranking goes on behind `position`, without `rows`.

    An approximate page has no position in the exact ranking: what it missed belongs before its last hit. So its rows
    are left out, and the next page begins with the best of all others.
    """

    hits: int = 0
    position: Position | None = None
    rows: Sequence[int] = ()

    @classmethod
    def of_record(cls, hits: Sequence[Scored], *, exact: bool) -> "Before":
        """All hits that a record holds; `exact` if each of its pages was ranked exactly."""
        if exact:
            return cls(len(hits), _position(hits[-1]))
        return cls(len(hits), None, [hit.row for hit in hits])

    def with_page(self, hits: Sequence[Scored], *, exact: bool) -> "Before":
        """And those of one more page, which is not empty."""
        if exact:
            return Before(self.hits + len(hits), _position(hits[-1]), self.rows)
        return Before(self.hits + len(hits), self.position, [*self.rows, *(hit.row for hit in hits)])


class Recorded(NamedTuple):
    """A place in the walk of a search that has a record."""

    search_id: UUID
    hits: int


class Unrecorded(NamedTuple):
    """A place in the walk of a search that has none; `request` tells which search it is."""

    request: str
    snapshot: int
    before: Before


_RECORDED = tuple[UUID, Annotated[int, Field(ge=1, lt=2**31)]]
_UNRECORDED = tuple[
    cursors.Text,
    cursors.Number,
    cursors.Number,
    tuple[cursors.Score, cursors.Text] | None,
    Annotated[list[cursors.Number], Field(max_length=1000)],
]
_SHAPE: TypeAdapter[Any] = TypeAdapter(_RECORDED | _UNRECORDED)


def read(cursor: str) -> Recorded | Unrecorded:
    """The place that a cursor stands for. Raises Unprocessable."""
    place = cursors.decode(cursor, _SHAPE)
    if len(place) == 2:
        return Recorded(*place)
    request, snapshot, hits, position, steps = place
    rows = list(accumulate(steps))
    if rows and rows[-1] >= 2**63:
        raise Unprocessable("This cursor is none that we gave.")
    return Unrecorded(request, snapshot, Before(hits, position, rows))


def cursor_of_record(search_id: UUID, hits: int) -> str:
    return cursors.encode(search_id, hits)


def cursor_without_record(request: str, snapshot: int, before: Before) -> str:
    """Rows are written as the steps between them, which are short."""
    return cursors.encode(request, snapshot, before.hits, before.position, _steps(sorted(before.rows)))


def digest(request: dict[str, Any], encoder_id: str) -> str:
    """Tells searches apart: with another query, filter or encoder the cursor is not its own."""
    asked = json.dumps([same_on_all_pages(request), encoder_id], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def same_on_all_pages(request: dict[str, Any]) -> dict[str, Any]:
    """The parameters by which the pages of one search are known."""
    return {name: value for name, value in request.items() if name not in OF_A_PAGE}


def _position(hit: Scored) -> Position:
    return hit.score, hit.drawing_id


def _steps(rows: Iterable[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise([0, *rows])]
