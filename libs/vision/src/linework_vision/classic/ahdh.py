"""The adaptive hierarchical density histogram (Sidiropoulos, Vrochidis and Kompatsiaris, Pattern Recognition 44, 2011),
made for binary drawings of patents.

The page is cut in four at the centre of gravity of its ink, each part again at its own, and so on, level by level. So
the cuts follow the drawing and not the page. The first levels say what share of a region's ink each of its four parts
has (densities). On the further ones, which have too many regions for that, each region becomes a word of four bits:
which of its parts are at least as dense as the region as a whole (relative densities). Only how frequent each word is
on its level is kept; 0000 cannot be, so there are 15.

What the paper leaves open, or what we could not take from it:

- It reduces noise and normalises coordinates without saying how: derivatives are cleaned by their reduction, and cut to
  their ink here. What is darker than Otsu's threshold is ink.
- Levels: 10, of which 2 by densities, as in the implementation that the authors of VisHash published to compare with.
- Regions without ink, which have no densities: their parts count as 0 on the first levels, and on the others they make
  no word. (In that implementation they are 1111, which on deep levels drowns all that the drawing says.)
- Vectors are compared by their angle. (Roots of the shares, which would make that Bhattacharyya's coefficient, found
  less on line drawings.)
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from skimage.filters import threshold_otsu

from linework_vision.classic.descriptor import Descriptor, Features
from linework_vision.pictures import crop_to_ink

WORDS = 15
Ints = NDArray[np.int64]


class Ahdh(Descriptor):
    """Its dimension is 4 + 16 + … + 4^dense, and 15 for each other level."""

    name: ClassVar[str] = "ahdh"
    library: ClassVar[str] = "scikit-image"

    levels: int = Field(10, gt=0)
    dense: int = Field(2, ge=0)  # levels by densities

    def describe(self, drawing: Image.Image) -> Features:
        regions = _Regions.of(_ink(crop_to_ink(drawing)))
        features = []
        for level in range(self.levels):
            parts = regions.cut()
            features.append(regions.densities(parts, level) if level < self.dense else regions.words(parts))
            regions = parts.drawn()
        return np.concatenate(features).astype(np.float32)


def _ink(drawing: Image.Image) -> NDArray[np.bool_]:
    grey = np.asarray(drawing)
    if grey.min() == grey.max():  # one colour: Otsu's threshold is that colour
        return np.full(grey.shape, bool(grey.max() < 128))
    return np.asarray(grey <= threshold_otsu(grey))


@dataclass(frozen=True, slots=True)
class _Regions:
    """Regions of one level, in the order of their places, which number all regions of the level.

    Four parts of one region follow one another.
    """

    rows: Ints  # (i,) of each pixel of ink
    columns: Ints  # (i,)
    region: Ints  # (i,) which it lies in
    places: Ints  # (r,)
    boxes: Ints  # (r, 4): top, left, bottom, right, the last two not included

    @classmethod
    def of(cls, ink: NDArray[np.bool_]) -> Self:
        rows, columns = np.nonzero(ink)
        whole = np.array([[0, 0, *ink.shape]])
        return cls(rows, columns, np.zeros_like(rows), np.zeros(min(1, len(rows)), np.int64), whole[: len(rows)])

    def counts(self) -> Ints:
        """Pixels of ink in each."""
        return np.bincount(self.region, minlength=len(self.places))

    def areas(self) -> Ints:
        top, left, bottom, right = self.boxes.T
        return np.asarray((bottom - top) * (right - left))

    def cut(self) -> "_Regions":
        """Each in four at the centre of gravity of its ink: upper left, upper right, lower left, lower right."""
        counts = self.counts()
        row, column = (
            np.bincount(self.region, weights=at, minlength=len(counts)).astype(np.int64) // counts
            for at in (self.rows, self.columns)
        )
        quarter = 2 * (self.rows >= row[self.region]) + (self.columns >= column[self.region])
        top, left, bottom, right = self.boxes.T
        boxes = [(top, left, row, column), (top, column, row, right), (row, left, bottom, column)]
        boxes.append((row, column, bottom, right))
        cut = np.stack([np.stack(box, axis=-1) for box in boxes], axis=1).reshape(-1, 4)
        places = (4 * self.places[:, None] + np.arange(4)).reshape(-1)
        return _Regions(self.rows, self.columns, 4 * self.region + quarter, places, cut)

    def drawn(self) -> "_Regions":
        """Those with ink."""
        kept, region = np.unique(self.region, return_inverse=True)
        return _Regions(self.rows, self.columns, region, self.places[kept], self.boxes[kept])

    def densities(self, parts: "_Regions", level: int) -> NDArray[np.float64]:
        """What share of its region's ink each part of the level has (4^(level + 1),)."""
        shares = np.zeros(4 ** (level + 1))
        shares[parts.places] = parts.counts() / np.repeat(self.counts(), 4)
        return shares

    def words(self, parts: "_Regions") -> NDArray[np.float64]:
        """How frequent each word is among the regions (15,)."""
        denser = parts.counts() * np.repeat(self.areas(), 4) >= np.repeat(self.counts(), 4) * parts.areas()
        words = denser.reshape(-1, 4) @ np.array([8, 4, 2, 1])
        return np.bincount(words, minlength=WORDS + 1)[1:] / max(1, len(words))
