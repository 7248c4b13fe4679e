"""Rankings and measures, against an independent judge (pytrec-eval-terrier) and against what must hold of any."""

import math
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from linework_trainer.evaluation import metrics
from linework_trainer.evaluation.metrics import DEPTHS, MEASURES, Judged, head_classes, judge, judge_ranking, summary
from linework_trainer.evaluation.ranking import NONE, Ranking, Task

JUDGES = {
    "map": "map",
    **{f"hit_rate@{k}": f"success_{k}" for k in DEPTHS},
    **{f"recall@{k}": f"recall_{k}" for k in DEPTHS},
}


def random_task(seed: int, *, queries: int = 17, items: int = 61, wanted: int = 1, dated: bool = True) -> Task:
    """Vectors of few small whole numbers: scores are exact, and many are equal."""
    dice = np.random.default_rng(seed)

    def numbers(*shape: int, low: int = 0, high: int = 6) -> Any:
        return dice.integers(low, high, shape)

    return Task(
        queries=numbers(queries, 3, low=-2, high=3).astype(np.float32),
        database=numbers(items, 3, low=-2, high=3).astype(np.float32),
        wanted=numbers(queries, wanted, low=NONE),
        groups=numbers(items, low=NONE),
        askers=numbers(queries, low=NONE, high=9),
        owners=numbers(items, low=NONE, high=9),
        before=numbers(queries, high=20) if dated else None,
        dates=numbers(items, high=20) if dated else None,
    )


def ranked(task: Task, query: int, item: int) -> bool:
    own = task.owners[item] != NONE and task.owners[item] == task.askers[query]
    known = task.before is None or task.dates is None or task.dates[item] < task.before[query]
    return bool(known and not own)


def is_relevant(task: Task, query: int, item: int) -> bool:
    return bool(task.groups[item] != NONE and task.groups[item] in task.wanted[query])


def by_pytrec_eval(task: Task) -> dict[int, dict[str, float]]:
    """It breaks ties by the names of documents, the greatest first."""
    runs, relevant = {}, {}
    for query in range(len(task.queries)):
        items = [item for item in range(len(task.database)) if ranked(task, query, item)]
        scores = task.database @ task.queries[query]
        runs[str(query)] = {f"{99_999 - item}": float(scores[item]) for item in items}
        relevant[str(query)] = {f"{99_999 - item}": 1 for item in items if is_relevant(task, query, item)}
    judged = {query: wanted for query, wanted in relevant.items() if wanted}
    depths = ",".join(map(str, DEPTHS))
    names = {"map", "recip_rank", f"success.{depths}", f"recall.{depths}"}
    found = pytrec_eval.RelevanceEvaluator(judged, names).evaluate({query: runs[query] for query in judged})
    return {int(query): values for query, values in found.items()}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("wanted", [1, 3])
def test_an_independent_judge_finds_the_same_with_ties_and_dates(seed: int, dated: bool, wanted: int) -> None:
    task = random_task(seed, wanted=wanted, dated=dated)
    judged, expected = judge(task), by_pytrec_eval(task)
    assert set(np.flatnonzero(judged.counted)) == set(expected)
    for query, values in expected.items():
        for ours, theirs in JUDGES.items():
            assert judged.values[ours][query] == pytest.approx(values[theirs], abs=1e-6), (ours, query)
        first = values["recip_rank"] if values["recip_rank"] >= 0.0999 else 0.0
        assert judged.values["mrr@10"][query] == pytest.approx(first, abs=1e-6)


@given(seed=st.integers(0, 10_000), memory=st.integers(1, 40_000))
@settings(max_examples=40, deadline=None)
def test_how_the_work_is_cut_into_chunks_changes_nothing(seed: int, memory: int) -> None:
    task = random_task(seed)
    whole, cut = judge(task), judge(task, memory=memory)
    assert np.array_equal(whole.relevant, cut.relevant)
    assert np.array_equal(whole.eligible, cut.eligible)
    for name in MEASURES:
        assert np.allclose(whole.values[name], cut.values[name], rtol=1e-12, equal_nan=True)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_measures_lie_between_0_and_1_and_grow_with_depth(seed: int) -> None:
    judged = judge(random_task(seed))
    for name in MEASURES:
        values = judged.values[name]
        assert np.array_equal(np.isnan(values), ~judged.counted)
        assert np.all((values[judged.counted] >= 0) & (values[judged.counted] <= 1))
    for kind in ("hit_rate", "recall"):
        five, ten, twenty = (judged.values[f"{kind}@{k}"][judged.counted] for k in DEPTHS)
        assert np.all((five <= ten) & (ten <= twenty))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_what_is_dated_on_or_after_the_query_changes_nothing(seed: int) -> None:
    task = random_task(seed)
    assert task.before is not None
    assert task.dates is not None
    later = random_task(seed + 1)
    dates = np.full(len(later.database), 20)
    more = Task(
        queries=task.queries, database=np.concatenate([task.database, later.database]), wanted=task.wanted,
        groups=np.concatenate([task.groups, later.groups]), askers=task.askers,
        owners=np.concatenate([task.owners, later.owners]), before=task.before,
        dates=np.concatenate([task.dates, dates]),
    )  # fmt: skip
    first, second = judge(task), judge(more)
    assert np.array_equal(first.eligible, second.eligible)
    for name in MEASURES:
        assert np.allclose(first.values[name], second.values[name], rtol=1e-12, equal_nan=True)


def line(scores: list[float], relevant: set[int], **more: Any) -> Task:
    """One query against items with these scores."""
    return Task(
        queries=np.ones((1, 1), dtype=np.float32), database=np.array(scores, dtype=np.float32)[:, None],
        wanted=np.array([[1]]), groups=np.array([int(n in relevant) for n in range(len(scores))]),
        askers=np.array([NONE]), owners=np.full(len(scores), NONE), **more,
    )  # fmt: skip


def test_average_precision_by_hand() -> None:
    judged = judge(line([0.9, 0.8, 0.7, 0.6, 0.5], {0, 2, 4}))
    assert judged.values["map"][0] == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert judged.values["mrr@10"][0] == 1
    assert judged.values["recall@5"][0] == 1


def test_the_first_relevant_item_at_rank_eleven_counts_nothing_at_ten() -> None:
    judged = judge(line([-float(n) for n in range(30)], {10, 29}))
    found = {name: float(values[0]) for name, values in judged.values.items()}
    assert found["map"] == pytest.approx((1 / 11 + 2 / 30) / 2)
    assert (found["hit_rate@10"], found["hit_rate@20"], found["recall@20"], found["mrr@10"]) == (0, 1, 0.5, 0)


def test_ties_come_in_the_order_of_the_items_whatever_their_dates() -> None:
    task = line([0.5] * 4, {2}, before=np.array([9]), dates=np.array([3, 2, 1, 0]))
    assert judge(task).values["map"][0] == pytest.approx(1 / 3)
    assert Ranking(task).top(np.array([0]), 3)[0].tolist() == [0, 1, 2]


def test_minus_zero_is_zero() -> None:
    assert judge(line([-0.0, 0.0], {0})).values["map"][0] == 1


def test_a_drawing_dated_on_the_query_s_day_is_not_ranked() -> None:
    task = line([0.9, 0.8, 0.7], {0, 2}, before=np.array([5]), dates=np.array([5, 4, 4]))
    judged = judge(task)
    assert (judged.relevant[0], judged.eligible[0]) == (1, 2)
    assert judged.values["map"][0] == 0.5


def test_a_query_before_everything_is_skipped_and_a_task_without_queries_is_empty() -> None:
    judged = judge(line([0.9], {0}, before=np.array([0]), dates=np.array([1])))
    assert not judged.counted.any()
    assert summary(judged, np.array([0]), frozenset({0}))["all"]["skipped"] == 1
    assert judge(random_task(0, queries=0)).relevant.shape == (0,)
    assert not judge(random_task(0, items=0)).counted.any()


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="fit"):
        line([0.9], {0}, before=np.array([0]))


def test_the_best_items_are_the_best_by_score() -> None:
    task = random_task(3)
    queries = np.array([5, 0, 16])
    for query, found in zip(queries, Ranking(task, memory=5000).top(queries, 8), strict=True):
        scores = task.database @ task.queries[query]
        items = [item for item in range(len(task.database)) if ranked(task, query, item)]
        assert found.tolist() == sorted(items, key=lambda item: (-scores[item], item))[:8]


def test_with_fewer_distractors_what_is_relevant_stays_and_its_ranks_can_only_rise() -> None:
    task = random_task(7)
    keep = np.random.default_rng(0).random(len(task.database)) < 0.3
    ranking = Ranking(task)
    whole, fewer = judge_ranking(ranking, 17), judge_ranking(ranking, 17, keep=keep)
    assert np.array_equal(whole.relevant, fewer.relevant)
    assert np.all(fewer.eligible <= whole.eligible)
    counted = whole.counted
    assert np.all(fewer.values["map"][counted] >= whole.values["map"][counted])


def judged_of(values: list[float]) -> Judged:
    column = np.array(values)
    counts = np.where(np.isnan(column), 0, 1)
    return Judged(dict.fromkeys(MEASURES, column), counts, counts)


def test_means_over_queries_and_over_classes_of_head_and_tail() -> None:
    judged = judged_of([1.0, 0.5, 0.0, math.nan, 0.2, 0.7])
    classes = np.array([0, 0, 1, 1, 2, NONE])
    found = summary(judged, classes, frozenset({0}))
    assert (found["all"]["queries"], found["all"]["judged"], found["all"]["skipped"]) == (6, 5, 1)
    assert found["all"]["mean"]["map"] == pytest.approx(2.4 / 5)
    assert found["all"]["macro"]["map"] == pytest.approx((0.75 + 0.0 + 0.2) / 3)
    assert found["head"]["mean"]["map"] == pytest.approx(0.75)
    assert (found["tail"]["queries"], found["tail"]["judged"]) == (3, 2)
    assert found["tail"]["macro"]["map"] == pytest.approx(0.1)


def test_means_of_nothing_are_null() -> None:
    found = summary(judged_of([math.nan]), np.array([0]), frozenset())
    assert found["all"]["mean"]["map"] is None
    assert found["head"]["macro"]["map"] is None


def test_the_head_is_the_most_frequent_40_percent() -> None:
    sizes = {"a": 5, "b": 9, "c": 5, "d": 1, "e": 2}
    assert head_classes(sizes) == {"b", "a"}
    assert head_classes({"a": 1}) == {"a"}
    assert head_classes({}) == frozenset()


def test_the_names_of_the_measures_are_those_of_the_contract() -> None:
    assert metrics.MEASURES[0] == "map"
    assert len(set(MEASURES)) == 8
