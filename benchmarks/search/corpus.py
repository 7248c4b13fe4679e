"""A corpus shaped like patents: designs in long-tailed classes, seven views each, dates in no order.

A view is its design plus noise, a design is its class plus noise, a class lies anywhere. The two lengths of noise are
such that HNSW finds its way as hard as it was first seen to on such corpora: with m = 24 and ef_construction = 128 it
finds .99 of the nearest ten among 200,000 at ef 200, and .98 of those in a fifth of them.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CLASSES = 407
VIEWS = 7
WEEKS = 1000
FIRST_WEEK = dt.date(2001, 1, 2)
DESIGN_NOISE, VIEW_NOISE = 0.8, 0.7  # lengths, beside a class centre of length 1

QUERY_NOISE = 0.5  # a query's distance from a stored view of its design, beside the view's length of 1


@dataclass(frozen=True)
class Corpus:
    """Vectors (n, d) float16, and by row the design, the class (0 is the largest) and the week of grant."""

    vectors: NDArray[np.float16]
    design: NDArray[np.int32]
    classes: NDArray[np.int16]
    week: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def exactly(self) -> NDArray[np.float32]:
        """The rounded vectors in float32, of length 1: what a recall is measured against."""
        vectors = self.vectors.astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def cut(self, share: float) -> int:
        """The first week that is too late, when about `share` of all rows is to be earlier."""
        earlier = np.concatenate([[0], np.cumsum(np.bincount(self.week, minlength=WEEKS))]) / len(self)
        return int(np.argmin(np.abs(earlier - share)))

    def class_of_share(self, share: float) -> int:
        shares = np.bincount(self.classes, minlength=CLASSES) / len(self)
        return int(np.argmin(np.abs(shares - share)))


def make(rows: int, dimension: int = 512, seed: int = 20260101) -> Corpus:
    """A corpus of `rows` drawings; rows of one design follow one another, designs come in random order."""
    rng = np.random.default_rng(seed)
    designs = -(-rows // VIEWS)
    shares = 1 / (np.arange(CLASSES) + 1.75)
    class_of_design = rng.choice(CLASSES, designs, p=shares / shares.sum())
    centres = _noise(rng, CLASSES, dimension)
    vectors = np.empty((designs * VIEWS, dimension), np.float16)
    for start in range(0, designs, 5_000):
        some = class_of_design[start : start + 5_000]
        one = centres[some] + DESIGN_NOISE * _noise(rng, len(some), dimension)
        views = np.repeat(one, VIEWS, axis=0) + VIEW_NOISE * _noise(rng, len(some) * VIEWS, dimension)
        views /= np.linalg.norm(views, axis=1, keepdims=True)
        vectors[start * VIEWS : (start + len(some)) * VIEWS] = views
    week = rng.integers(0, WEEKS, designs)
    rows_of = np.repeat(np.arange(designs), VIEWS)[:rows]
    return Corpus(
        vectors[:rows],
        rows_of.astype(np.int32),
        class_of_design[rows_of].astype(np.int16),
        week[rows_of].astype(np.int16),
    )


def queries(corpus: Corpus, number: int, *, within: int | None = None, seed: int = 7) -> NDArray[np.float32]:
    """Views (number, d) that are not stored, of designs of the corpus or of its class `within`."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(corpus)) if within is None else np.flatnonzero(corpus.classes == within)
    some = corpus.vectors[rng.choice(rows, number)].astype(np.float32)
    some += QUERY_NOISE * _noise(rng, number, some.shape[1])
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    return some.astype(np.float16).astype(np.float32)  # as both engines see it


def _noise(rng: np.random.Generator, number: int, dimension: int) -> NDArray[np.float32]:
    return rng.standard_normal((number, dimension), np.float32) / np.float32(np.sqrt(dimension))


def week_of(number: int) -> dt.date:
    return FIRST_WEEK + dt.timedelta(weeks=int(number))


def class_name(number: int) -> str:
    """'01-00' to '32-13': what a Locarno subclass looks like."""
    return f"{number % 32 + 1:02d}-{number // 32:02d}"
