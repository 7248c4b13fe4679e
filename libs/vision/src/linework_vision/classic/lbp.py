"""Local binary patterns that no rotation changes (Ojala, Pietikäinen and Mäenpää, TPAMI 2002).

Each pixel is compared with P neighbours on a circle of radius R around it. Patterns with at most two changes between
'darker' and 'not darker' around the circle are uniform, and are told apart by how many neighbours are not darker; all
others fall together: P + 2 patterns, the paper's LBP^riu2. The descriptor is their histogram, for each of the paper's
three circles (8 neighbours at 1 pixel, 16 at 2, 24 at 3): 54 numbers. Where a pattern stands on the page is forgotten.

What the paper, which is about photographed textures, leaves open for drawings:

- Paper is no texture: patterns of the bare ground, which hold no ink at all, are not counted. Otherwise they would be
  nearly everything, and tell how much paper there is around the drawing.
- Scale: the drawing is cropped to its ink and fitted in a square, so that equal drawings have equal line widths.
- Histograms are compared by inner products of the roots of their shares (Bhattacharyya's coefficient), the nearest to
  the paper's log-likelihood ratio that is an inner product.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field
from scipy.ndimage import maximum_filter
from skimage.feature import local_binary_pattern

from linework_vision.classic.descriptor import Descriptor, Features
from linework_vision.pictures import crop_to_ink, fit_on_white


class Lbp(Descriptor):
    """Its dimension is the sum of neighbours + 2 over the circles."""

    name: ClassVar[str] = "lbp"
    library: ClassVar[str] = "scikit-image"

    side: int = Field(256, gt=0)  # pixels of the square that a drawing is fitted in
    margin: float = Field(0.02, ge=0, lt=0.5)  # free on each side, so that no circle is cut off
    circles: tuple[tuple[int, int], ...] = ((8, 1), (16, 2), (24, 3))  # neighbours, radius in pixels

    def describe(self, drawing: Image.Image) -> Features:
        fitted = fit_on_white(crop_to_ink(drawing), self.side, self.side, Image.Resampling.LANCZOS, margin=self.margin)
        # ink is high and bare paper exactly 0: between equal zeros no interpolation can make a difference
        ink = np.asarray(ImageOps.invert(fitted))
        return np.asarray(np.sqrt(np.concatenate([shares(ink, *circle) for circle in self.circles])), dtype=np.float32)


def shares(ink: NDArray[np.uint8], neighbours: int, radius: int) -> Features:
    """What share of a picture's patterns is each, of those that a circle can make where it may touch ink
    (neighbours + 2,).
    """
    patterns = local_binary_pattern(ink, neighbours, radius, method="uniform").astype(np.int64)
    counts = np.bincount(patterns[_drawn(ink, radius)], minlength=neighbours + 2)
    return np.asarray(counts / max(1, counts.sum()), dtype=np.float32)


def _drawn(ink: NDArray[np.uint8], radius: int) -> NDArray[np.bool_]:
    return np.asarray(maximum_filter(ink, size=2 * radius + 3) > 0)
