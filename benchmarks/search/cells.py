"""The grid that is measured: shares before the cut, alone and with a filter by class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.search import corpus as corpora
from benchmarks.search.corpus import Corpus

SHARES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0)
# 'own': the queries are of the class filtered by; 'any': they are of all classes, so most lie far from what passes
FILTERS = (("none", None, False), ("1% own", 0.01, True), ("1% any", 0.01, False), ("10% own", 0.1, True),
           ("10% any", 0.1, False))  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One filter with its queries and, for each of them, the exact similarities of all rows that pass."""

    share: float
    label: str
    cut: int | None
    class_number: int | None
    queries: NDArray[np.float32]
    scores: NDArray[np.float32]  # (queries, rows); what does not pass is -2
    passing: int

    def least(self, k: int) -> NDArray[np.float32]:
        """How near the last of the k nearest is to each query."""
        place = len(self.scores[0]) - min(k, self.passing)
        return np.array([np.partition(scores, place)[place] for scores in self.scores])

    def recall(self, found: Sequence[Sequence[int]], k: int, least: NDArray[np.float32]) -> float:
        """The mean share of the k nearest that was found; what is as near as the last of them counts as well."""
        wanted = min(k, self.passing)
        rows = [np.asarray(one, int) for one in found]
        near = [(scores[one] >= last - 1e-5).sum() for scores, one, last in zip(self.scores, rows, least, strict=True)]
        return float(np.minimum(near, wanted).mean() / wanted)


def cells(corpus: Corpus, number: int, only: str | None = None) -> Iterator[Cell]:
    """All cells that leave any row, or those of one class filter."""
    for label, class_share, own in FILTERS:
        if only not in (None, label):
            continue
        wanted = None if class_share is None else corpus.class_of_share(class_share)
        queries = corpora.queries(corpus, number, within=wanted if own else None)
        scores = queries @ corpus.exactly.T
        for share in SHARES:
            cut = corpus.cut(share) if share < 1 else None
            passes = np.ones(len(corpus), bool) if cut is None else corpus.week < cut
            if wanted is not None:
                passes = passes & (corpus.classes == wanted)
            if passes.any():
                yield Cell(share, label, cut, wanted, queries, np.where(passes, scores, -2), int(passes.sum()))
