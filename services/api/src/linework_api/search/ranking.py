"""The nearest drawings within a scope, by the way that the planner chose."""

import time
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from linework_api.search import planner, statistics
from linework_api.search.planner import Plan
from linework_api.search.schemas import Mode
from linework_api.search.statistics import Statistics
from linework_api.search.target import Vectors
from linework_core import encoders, nearest, vector_costs
from linework_core.encoders import EncoderFacts
from linework_core.nearest import Near
from linework_core.scope import Scope
from linework_core.vector_index import Measured

KNOWN_FOR_S = 30.0  # until costs and statistics are read again


@dataclass(frozen=True, slots=True)
class Ranked:
    """The nearest first, ties by drawing id; `exact` when every drawing that passes was compared."""

    found: list[Near]
    exact: bool
    plan: Plan


def rank(
    session: Session, encoder: EncoderFacts, vectors: Vectors, scope: Scope, k: int, *, mode: Mode = "auto"
) -> Ranked:
    """The min(k, eligible) drawings nearest to any of `vectors` (m, d).

    A walk that finds fewer than k is followed by a scan, so never fewer are returned than there are.
    """
    measured, rows = _known(session, encoder)
    plan = planner.choose(measured, rows, scope, vectors, k, mode)
    cursor, leaf = nearest.cursor(session.connection()), encoders.partition(encoder)
    where, params = scope.sql(leaf), scope.params()
    if plan.graph is not None:
        region = plan.graph.condition
        near = nearest.walk(
            cursor, leaf, vectors, k, where, params, region=region, ef=plan.ef, most=plan.most, far=plan.far
        )
        if len(near) == k:
            return Ranked(near, exact=False, plan=plan)
        plan = replace(plan, fell_short=True)
    near = nearest.scan(cursor, leaf, vectors, k, where, params)
    return Ranked(near, exact=True, plan=plan)


@dataclass(frozen=True, slots=True)
class _Knowledge:
    """What planning needs, as it was read at a time."""

    measured: Measured | None
    rows: Statistics
    at: float


_knowledge: WeakKeyDictionary[Engine, dict[int, _Knowledge]] = WeakKeyDictionary()


def _known(session: Session, encoder: EncoderFacts) -> tuple[Measured | None, Statistics]:
    """Costs and statistics, read anew now and then: they are for choosing a way, never for what is found."""
    connection = session.connection()
    of_engine = _knowledge.setdefault(connection.engine, {})
    known = of_engine.get(encoder.number)
    if known is None or time.monotonic() - known.at > KNOWN_FOR_S:
        measured = vector_costs.load(connection, encoder)
        known = _Knowledge(measured, statistics.load(session, encoders.partition(encoder)), time.monotonic())
        of_engine[encoder.number] = known
    return known.measured, known.rows
