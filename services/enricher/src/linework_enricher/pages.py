"""The drawings of an order, a page at a time: never all at once, whatever their number."""

from sqlalchemy import Engine

from linework_core.db import transaction
from linework_enricher import enrichment, facts
from linework_enricher.facts import Facts
from linework_enricher.recipe import Order


class Pages:
    """Reads on from row to row. What was described, or failed, in the meantime lies behind and is not met again."""

    def __init__(self, engine: Engine, order: Order, *, size: int, at_most: int | None) -> None:
        self._engine = engine
        self._order = order
        self._size = size
        self._left = at_most
        self._last = 0
        self.capped = False  # True once `at_most` kept a drawing out

    def next(self) -> list[Facts]:
        """The facts of the next drawings; none at the end."""
        limit = self._size if self._left is None else min(self._size, self._left)
        with transaction(self._engine) as session:
            rows = enrichment.page_of_lacking(session, self._order, after=self._last, limit=max(limit, 1))
            if limit == 0:
                self.capped = bool(rows)
            if not rows or limit == 0:
                return []
            self._last = rows[-1]
            if self._left is not None:
                self._left -= len(rows)
            return facts.load(session, rows)
