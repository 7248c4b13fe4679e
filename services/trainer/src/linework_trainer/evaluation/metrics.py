"""How good a ranking is: mAP, hit rate, recall, MRR, of every query and in the mean (docs/evaluation.md).

All measures are computed from the ranks of the relevant items alone. A query to which nothing is relevant has no
measures: it is counted as skipped and enters no mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linework_trainer.evaluation.ranking import NONE, Ints, Ranking, Ranks, Task

DEPTHS = (5, 10, 20)
MRR_DEPTH = 10
MEASURES = (
    "map",
    *(f"hit_rate@{k}" for k in DEPTHS),
    *(f"recall@{k}" for k in DEPTHS),
    f"mrr@{MRR_DEPTH}",
)
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """The measures of each query. Those of a query without a relevant item are NaN."""

    values: dict[str, Values]  # by measure, (Q,)
    relevant: Ints  # (Q,) relevant items that were ranked
    eligible: Ints  # (Q,) items that were ranked

    @property
    def counted(self) -> NDArray[np.bool_]:
        return self.relevant > 0


def judge(task: Task, *, device: str = "cpu", memory: int = 2**30) -> Judged:
    """The measures of all queries of a task. `memory` (bytes) bounds what comes on top of the vectors."""
    return judge_ranking(Ranking(task, device=device, memory=memory), len(task.queries))


def judge_ranking(
    ranking: Ranking,
    total: int,
    queries: Ints | None = None,
    *,
    keep: NDArray[np.bool_] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Judged:
    """The measures of some of the `total` queries; the others look as if nothing were relevant to them.

    `progress` is told after each chunk how many queries it had; it may raise, to stop.
    """
    values = {name: np.full(total, np.nan) for name in MEASURES}
    relevant, eligible = np.zeros(total, dtype=np.int64), np.zeros(total, dtype=np.int64)
    for ranks in ranking.relevant(queries, keep=keep):
        relevant[ranks.queries], eligible[ranks.queries] = ranks.counts.cpu().numpy(), ranks.eligible.cpu().numpy()
        for name, column in measures(ranks).items():
            values[name][ranks.queries] = column.cpu().numpy()
        progress(len(ranks.queries))
    return Judged(values, relevant, eligible)


def measures(ranks: Ranks) -> dict[str, Tensor]:
    """Each measure of each query (b,), float64.

    Average precision is the mean, over a query's relevant items, of the precision at their ranks; the j-th relevant
    item at rank r has precision j / r.
    """
    counts, at = ranks.counts.double(), ranks.ranks.double()

    def of_each(values: Tensor, reduce: str = "sum") -> Tensor:
        return torch.segment_reduce(values, reduce, lengths=ranks.counts)

    first = of_each(at, "min")  # infinite where there is none
    found = {k: of_each((at <= k).double()) for k in DEPTHS}
    every = {
        "map": of_each(ranks.ordinals / at) / counts,
        **{f"hit_rate@{k}": found[k].clamp(max=1) for k in DEPTHS},
        **{f"recall@{k}": found[k] / counts for k in DEPTHS},
        f"mrr@{MRR_DEPTH}": torch.where(first <= MRR_DEPTH, 1 / first, 0.0),
    }
    return {name: values.where(counts > 0, torch.nan) for name, values in every.items()}


def head_classes(sizes: dict[str, int], share: float = 0.4) -> frozenset[str]:
    """The `share` of classes that are most frequent; all others are the tail (Lo et al.: 40%). Of equally frequent ones
    the first by name. Any class at all makes a head of at least one.
    """
    by_size = sorted(sizes, key=lambda name: (-sizes[name], name))
    return frozenset(by_size[: max(1, round(share * len(by_size)))])


def summary(judged: Judged, classes: Ints, head: frozenset[int]) -> dict[str, Any]:
    """The means over all queries, and over those of head and of tail classes.

    `classes` (Q,) numbers each query's class (NONE: it has none, and is in neither head nor tail).
    """
    in_head = np.isin(classes, list(head))
    parts = {"all": np.ones_like(in_head), "head": in_head, "tail": ~in_head & (classes != NONE)}
    return {name: _means(judged, classes, part) for name, part in parts.items()}


def _means(judged: Judged, classes: Ints, part: NDArray[np.bool_]) -> dict[str, Any]:
    """`mean` weighs queries alike, `macro` weighs classes alike: the mean of their means (Lo's 'averaged across all
    classes').
    """
    chosen = part & judged.counted
    named = chosen & (classes != NONE)
    known, number = np.unique(classes[named], return_inverse=True)
    sizes = np.bincount(number, minlength=len(known))
    mean, macro = {}, {}
    for name, values in judged.values.items():
        mean[name] = float(values[chosen].mean()) if chosen.any() else None
        sums = np.bincount(number, weights=values[named], minlength=len(known))
        macro[name] = float((sums / sizes).mean()) if len(known) else None
    counts = {"queries": int(part.sum()), "judged": int(chosen.sum()), "skipped": int((part & ~judged.counted).sum())}
    return {**counts, "classes": len(known), "mean": mean, "macro": macro}
