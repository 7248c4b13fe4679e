"""SIFT descriptors on a grid (Lowe, IJCV 2004, for the descriptor; dense, since lines have few corners to begin at).

scikit-image has SIFT at points that it detects only. On drawings those are few: along a line nothing is a point, and a
plain elevation can have none. So its descriptor is computed here at each point of a grid, upright, at several sizes:
4 × 4 cells with 8 directions each, every gradient shared out linearly between directions and between cells, the
128 numbers to length 1, cut at .2, and to length 1 again. (Lowe's round window, which lays stress on the middle, is
left out, as fast implementations do.)
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_filter

DIRECTIONS, CELLS = 8, 4
DIMENSION = DIRECTIONS * CELLS * CELLS
CUT = 0.2
Descriptors = NDArray[np.float32]


def dense_sift(picture: NDArray[np.float32], cells: tuple[int, ...], step: int) -> Descriptors:
    """The descriptors of a picture (height, width) at each size of a cell, in pixels; float32 (n, 128).

    Where there is no change of grey there is no descriptor.
    """
    found = [np.empty((0, DIMENSION), dtype=np.float32)]
    for cell in cells:
        if min(picture.shape) >= CELLS * cell:
            found.append(_kept(_patches(picture, cell, step)))
    return np.concatenate(found)


def with_mirrored(descriptors: Descriptors) -> Descriptors:
    """Descriptors (n, 128), then those of the same patches seen from behind, upside down, and both: (4n, 128).

    A mirror changes the places of numbers, not the numbers.
    """
    cells = descriptors.reshape(-1, CELLS, CELLS, DIRECTIONS)
    directions = np.arange(DIRECTIONS)
    turned = cells[:, :, ::-1, (DIRECTIONS // 2 - directions) % DIRECTIONS]
    every = np.concatenate([cells, turned])
    return np.concatenate([every, every[:, ::-1, :, -directions % DIRECTIONS]]).reshape(-1, DIMENSION)


def _patches(picture: NDArray[np.float32], cell: int, step: int) -> Descriptors:
    """Sums of gradients, each cell of each patch: (n, 128)."""
    maps = np.stack(list(_summed(picture, cell)), axis=-1)  # (height, width, 8), of the cell centred there
    height, width = picture.shape
    first = cell // 2
    rows, columns = np.arange(0, height - CELLS * cell + 1, step), np.arange(0, width - CELLS * cell + 1, step)
    offsets = first + cell * np.arange(CELLS)
    at_rows, at_columns = rows[:, None] + offsets, columns[:, None] + offsets  # (n, 4)
    patches = maps[at_rows[:, None, :, None], at_columns[None, :, None, :]]  # rows, columns, 4, 4, 8
    return patches.reshape(-1, DIMENSION)


def _summed(picture: NDArray[np.float32], cell: int) -> Iterator[NDArray[np.float32]]:
    """For each direction the strength of gradients around each pixel, which fades linearly over a cell's width."""
    down, right = np.gradient(gaussian_filter(picture, cell / 6))
    strength = np.hypot(right, down)
    turn = np.arctan2(down, right) * (DIRECTIONS / (2 * np.pi))
    fading = 1 - np.abs(np.arange(1 - cell, cell)) / cell
    for direction in range(DIRECTIONS):
        apart = np.abs((turn - direction + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2)
        share = (strength * np.maximum(0, 1 - apart)).astype(np.float32)
        yield convolve1d(convolve1d(share, fading, axis=0, mode="constant"), fading, axis=1, mode="constant")


def _kept(patches: Descriptors) -> Descriptors:
    lengths = np.linalg.norm(patches, axis=1)
    patches = patches[lengths > 1e-2 * lengths.max(initial=1e-6)]
    cut = np.minimum(patches / np.linalg.norm(patches, axis=1, keepdims=True), CUT)
    return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), dtype=np.float32)
