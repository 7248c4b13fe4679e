"""What the planner chooses, on costs and statistics that are given."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linework_api.search import planner
from linework_api.search.statistics import Column, Statistics
from linework_core.scope import Scope
from linework_core.vector_index import Effort, Graph, Measured
from tests.api.test_ranking import CLASSES, day

ROWS = 200_000
DATES = [day(week).isoformat() for week in range(1001)]
OF_DATES, OF_CLASSES = Column(quantiles=DATES), Column(common={"14-02": 0.1, "02": 0.001})
STATISTICS = Statistics(ROWS, {"granted": OF_DATES, "filed": OF_DATES, "locarno": OF_CLASSES})
EFFORTS = [Effort(k=k, share=share, ef=ef, ms=ef / 60, recall=1.0, far=0.6 - share / 10) for k, share, ef in (
    (10, 1.0, 150), (10, 0.5, 200), (10, 0.25, 400), (100, 1.0, 300), (100, 0.5, 600), (100, 0.25, 900))]  # fmt: skip
ALL = Graph(index="all", rows=ROWS, efforts=EFFORTS)
HALF = Graph(index="half", before=day(500), rows=ROWS // 2, efforts=EFFORTS)
CLASS = Graph(
    index="class", locarno="14-02", rows=ROWS // 10, efforts=EFFORTS, centre=[1.0] + [0.0] * 7, reach=0.5
)  # fmt: skip
MEASURED = Measured(
    at=dt.datetime.now(dt.UTC), rows=ROWS, start_ms=0.1, visit_row_us=0.1, compare_row_us=0.2, graphs=[ALL, HALF, CLASS]
)
NEAR = np.asarray([[1.0] + [0.0] * 7], np.float32)


def choice(k: int = 10, mode: Any = "auto", vectors: Any = NEAR, **filters: Any) -> str:
    plan = planner.choose(MEASURED, STATISTICS, Scope(1, **filters), vectors, k, mode)
    return plan.graph.index if plan.graph else "scan"


def test_few_rows_are_scanned_and_many_are_walked() -> None:
    assert choice(before=day(5)) == "scan"
    assert choice(before=day(990)) == "all"
    assert choice() == "all"
    assert choice(mode="exact") == "scan"


def test_the_smallest_graph_that_holds_the_answer_is_walked() -> None:
    assert choice(before=day(400)) == "half"
    assert choice(before=day(501)) == "all"
    assert choice(before=day(400), date_basis="filed") == "all"


def test_under_a_filter_by_class_only_a_graph_of_the_class_is_trusted_and_only_near_it() -> None:
    assert choice(locarno=("14-02",)) == "class"
    assert choice(locarno=("14-02",), vectors=-NEAR) == "scan"
    assert choice(locarno=("14",)) == "scan"
    assert choice(locarno=("14",), mode="approximate") == "all"
    assert choice(locarno=("02",)) == "scan"


def test_effort_follows_depth_and_selectivity() -> None:
    def ef(k: int, **filters: Any) -> int:
        return planner.choose(MEASURED, STATISTICS, Scope(1, **filters), NEAR, k, "approximate").ef

    assert ef(10) == 150
    assert ef(10) < ef(50) < ef(100)
    assert ef(10, before=day(750)) < ef(10, before=day(600))


def test_the_fewer_rows_pass_the_farther_may_the_nearest_be() -> None:
    def far(**filters: Any) -> float:
        return planner.choose(MEASURED, STATISTICS, Scope(1, **filters), NEAR, 10, "approximate").far

    assert far() == 0.5
    assert far() < far(before=day(750)) < far(before=day(600)) < 0.7


def test_nothing_measured_means_a_scan() -> None:
    assert planner.choose(None, Statistics(0, {}), Scope(1), NEAR, 10, "approximate").graph is None


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from(CLASSES)), min_size=1), st.integers(0, 300))
def test_common_values_give_exact_shares(rows: list[tuple[int, str | None]], bound: int) -> None:
    def column(values: list[Any]) -> Column:
        known = [value for value in values if value is not None]
        return Column(
            null_share=1 - len(known) / len(values), distinct=len(set(known)) or 1,
            common={value: known.count(value) / len(values) for value in known},
        )  # fmt: skip

    dates, classes = [day(week).isoformat() for week, _ in rows], [locarno for _, locarno in rows]
    statistics = Statistics(len(rows), {"granted": column(dates), "locarno": column(classes)})
    earlier = sum(week < bound for week, _ in rows)
    assert statistics.passing(Scope(1, before=day(bound))) == pytest.approx(earlier)
    of_class = sum(locarno is not None and (locarno + "-").startswith("14-") for locarno in classes)
    assert statistics.passing(Scope(1, locarno=("14",))) == pytest.approx(of_class)
