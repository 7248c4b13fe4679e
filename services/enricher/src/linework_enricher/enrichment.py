"""Which drawings lack a set of texts: work is a difference (design, rule 4)."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Exists, Select, exists, func, or_, select
from sqlalchemy.orm import Session

from linework_core.tables import Description, Drawing, EnrichFailure
from linework_enricher.facts import Facts
from linework_enricher.recipe import Order


@dataclass(frozen=True, slots=True)
class Unit:
    """Drawings whose texts come from the same calls: one drawing, or those of a design of which no picture is seen."""

    facts: tuple[Facts, ...]

    @property
    def lead(self) -> Facts:
        """Whose facts are sent; what is sent would be the same for all."""
        return self.facts[0]


def lacking(order: Order) -> Select[int]:
    """Row ids of the open drawings asked for that have no set of this recipe and wait after no failure."""
    return _asked_for(order).where(~_paused(order))


def count_lacking(session: Session, order: Order) -> int:
    return session.scalar(select(func.count()).select_from(lacking(order).subquery())) or 0


def count_waiting(session: Session, order: Order) -> int:
    """How many could not be described lately, and are not yet tried again."""
    return session.scalar(select(func.count()).select_from(_asked_for(order).where(_paused(order)).subquery())) or 0


def page_of_lacking(session: Session, order: Order, *, after: int, limit: int) -> list[int]:
    """Row ids, ascending, after the given one. Rows of a design stand together, for ingest writes them so."""
    rows = lacking(order).where(Drawing.row_id > after).order_by(Drawing.row_id).limit(limit)
    return list(session.scalars(rows))


def units(facts: list[Facts], *, seen: bool) -> Iterator[Unit]:
    """Facts in the units that are described at once; where the pictures are `seen`, each drawing is one."""
    same: dict[str, list[Facts]] = {}
    for one in facts:
        key = one.drawing_id if seen else repr(one.shared())
        same.setdefault(key, []).append(one)
    yield from (Unit(tuple(group)) for group in same.values())


def _asked_for(order: Order) -> Select[int]:
    described = exists().where(Description.drawing_row == Drawing.row_id, Description.recipe == order.recipe.id)
    wanted = select(Drawing.row_id).where(Drawing.removed_in.is_(None), ~described)
    if order.patents or order.drawings:
        named = or_(Drawing.patent_id.in_(order.patents), Drawing.drawing_id.in_(order.drawings))
        wanted = wanted.where(named)
    return wanted.where(*order.scope.passing(Drawing)) if order.scope else wanted


def _paused(order: Order) -> Exists:
    return exists().where(
        EnrichFailure.recipe == order.recipe.id,
        EnrichFailure.drawing_row == Drawing.row_id,
        EnrichFailure.next_try_at > func.now(),
    )
