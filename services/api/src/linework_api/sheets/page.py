"""A sheet as connected components of ink, on a reduced copy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

LONG_SIDE = 1700  # pixels at most: a sheet of 300 dpi is halved, and its printed letters are still 15 to 35 high
INK = 200  # greys darker than this are ink, so a quarter of a reduced pixel suffices and thin lines stay whole
SPECK = 6  # pixels of ink below which a component is no sign and no part of a drawing on its own
TOUCHING = np.ones((3, 3), dtype=bool)
Boxes = NDArray[np.int64]  # (n, 4): top, left, bottom, right, the last two exclusive


@dataclass(frozen=True, slots=True)
class Page:
    """`grey` (height, width) is 255 where white; `owner` numbers each pixel's component from 1, 0 is paper.

    Component `numbers[i]` of `owner` has the box `boxes[i]`; specks have a number in `owner` but no box.
    One pixel here is `factor` pixels of the sheet.
    """

    factor: int
    grey: NDArray[np.uint8]
    owner: NDArray[np.int32]
    numbers: NDArray[np.int64]
    boxes: Boxes


def page_of(grey: Image.Image) -> Page:
    """The components of a greyscale sheet, dark ink on white."""
    factor = -(-max(grey.size) // LONG_SIDE)
    small = np.asarray(grey.reduce(factor) if factor > 1 else grey)
    owner, _ = ndimage.label(small < INK, TOUCHING)
    numbers = np.flatnonzero(np.bincount(owner.ravel())[1:] >= SPECK) + 1
    return Page(factor, small, owner, numbers, _boxes(owner, numbers))


def _boxes(owner: NDArray[np.int32], numbers: NDArray[np.int64]) -> Boxes:
    kept = np.zeros(int(owner.max()) + 1, dtype=np.int32)
    kept[numbers] = np.arange(1, len(numbers) + 1)
    found = ndimage.find_objects(kept[owner])
    spans = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in found]
    return np.array(spans, dtype=np.int64).reshape(-1, 4)
