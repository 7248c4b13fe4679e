"""Chance that can be replayed, and bent a little: siblings of one lineage share most of their throws."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Throws decided by a seed.

    `variant` bends every measured throw by up to `bend` of its range and leaves every pick as it is, so that two
    designs of one seed and different variants look like a parent and its continuation: alike, not equal.
    """

    def __init__(self, *seed: int, variant: int = 0, bend: float = 0.18) -> None:
        self._base = np.random.default_rng(seed)
        self._bent = np.random.default_rng((*seed, variant))
        self._bend = bend if variant else 0.0

    def between(self, low: float, high: float) -> float:
        """A number from low to high."""
        share = self._base.random() + self._bend * (2 * self._bent.random() - 1)
        return float(low + (high - low) * min(max(share, 0.0), 1.0))

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included; the same for every variant."""
        return int(self._base.integers(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; the same for every variant."""
        return options[int(self._base.integers(len(options)))]

    def chance(self, share: float) -> bool:
        """True in that share of throws; the same for every variant."""
        return bool(self._base.random() < share)
