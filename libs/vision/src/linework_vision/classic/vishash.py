"""VisHash (Oyen, Kucer and Wohlberg, SPIE Applications of Machine Learning 2021): relative brightness of neighbouring
parts, made for diagrams and drawings of patents.

The picture is cut to where its changes are: to the rows between the 1st and the 99th percentile of the running sum of
differences between neighbouring pixels, and to such columns. A grid of 9 × 9 patches covers what is left, stretched to
its proportions. Each patch has a mean grey; the descriptor is the differences between a patch and the one to its left
(9 · 8 numbers) and above it (8 · 9). Differences too small to mean anything are none. The others become ranks, from −3
to 3: thirds of their absolute values, all differences of the picture together. So contrast, line width and shading
count for little: only what is darker than what.

The published implementation (GoFigure-LANL/VisHash) decides what the paper's text does not: the threshold, which is
1 / (8 √(6 w h)) for patches of w × h pixels and greys from 0 to 1, and that zeros take part in the thirds. It compares
by |a − b| / (|a| + |b|); unit vectors compare by their angle, which is the same order among hashes of equal length.

The numbers are signed, so the vector of a blank drawing is near to no other, but not on the far side of all of them.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from linework_vision.classic.descriptor import Descriptor, Features

Grey = NDArray[np.float32]


class VisHash(Descriptor):
    """Its dimension is 2 · grid · (grid − 1)."""

    name: ClassVar[str] = "vishash"
    library: ClassVar[str] = "numpy"

    grid: int = Field(9, gt=1)
    ranks: int = Field(3, gt=0)  # on either side of 0
    cut: float = Field(0.01, ge=0, lt=0.5)  # the percentile, as a fraction

    def describe(self, drawing: Image.Image) -> Features:
        grey = np.asarray(drawing, dtype=np.float32) / np.float32(255)
        top, bottom = _window(np.abs(np.diff(grey, axis=1)).sum(axis=1), self.cut)
        left, right = _window(np.abs(np.diff(grey, axis=0)).sum(axis=0), self.cut)
        # a box filter to the size of the grid is the mean of each patch, of fractions of pixels too
        means = Image.fromarray(grey).resize((self.grid,) * 2, Image.Resampling.BOX, box=(left, top, right, bottom))
        patches = np.asarray(means, dtype=np.float64)
        differences = np.concatenate([np.diff(patches, axis=1), np.diff(patches, axis=0)], axis=None)
        area = max(1.0, (right - left) * (bottom - top) / self.grid**2)
        differences[np.abs(differences) < 1 / (8 * np.sqrt(6 * area))] = 0
        return self._ranked(differences)

    def _ranked(self, differences: NDArray[np.float64]) -> Features:
        sizes = np.abs(differences)
        bounds = np.percentile(sizes, np.linspace(0, 100, self.ranks + 1)[:-1])
        reached = (sizes[:, None] >= bounds).sum(axis=1)
        return np.asarray(np.sign(differences) * reached, dtype=np.float32)


def _window(changes: Grey, share: float) -> tuple[int, int]:
    """From where to where the running sum of the changes lies between its percentiles; everywhere if it never does."""
    summed = np.cumsum(changes, dtype=np.float64)
    low, high = np.quantile(summed, [share, 1 - share])
    start, end = int(np.searchsorted(summed, low, side="right")), int(np.searchsorted(summed, high, side="left")) + 1
    return (start, end) if end > start + 1 else (0, len(changes))
