"""Pixels: the nearest surface behind each pixel, and lines of a given width."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def nearest(corners: Floats, height: int, width: int) -> Floats:
    """The depth of the nearest triangle at each pixel centre, (height, width); infinite where there is none.

    corners (t, 3, 3): x, y in pixels and depth, growing away from the viewer. Triangles are cut into the exact spans
    of pixels they cover, all at once, so neighbours leave no gap and none is covered twice.
    """
    tri, row = _rows(corners, height)
    left, right = _span(corners[tri], row + 0.5, width)
    count = np.maximum(right - left, 0)
    which, column = _expand(left, count)
    pixel = row[which] * width + column
    origin, slope_x, slope_y, low, high = _planes(corners)
    t = tri[which]
    start = (origin[tri] + slope_y[tri] * (row + 0.5))[which]
    depth = np.clip(start + slope_x[t] * (column + 0.5), low[t], high[t])
    buffer = np.full(height * width, np.inf)
    np.minimum.at(buffer, pixel, depth)
    return buffer.reshape(height, width)


def _rows(corners: Floats, height: int) -> tuple[Ints, Ints]:
    """(triangle, pixel row) for every row whose centre a triangle crosses."""
    y = corners[:, :, 1]
    top = np.clip(np.ceil(y.min(1) - 0.5), 0, height).astype(np.int64)
    bottom = np.clip(np.ceil(y.max(1) - 0.5), 0, height).astype(np.int64)
    return _expand(top, bottom - top)


def _expand(start: Ints, count: Ints) -> tuple[Ints, Ints]:
    """(owner, value) for owner i counting from start[i], count[i] times."""
    owner = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    return owner, np.arange(len(owner)) - first[owner] + start[owner]


def _span(corners: Floats, y: NDArray[np.floating], width: int) -> tuple[Ints, Ints]:
    """The half-open range of pixel columns whose centres lie inside each triangle at height y."""
    low, high = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for k in range(3):
        (xa, ya), (xb, yb) = corners[:, k, :2].T, corners[:, (k + 1) % 3, :2].T
        crosses = (ya <= y) != (yb <= y)
        # always from the upper to the lower end, so that both owners of an edge find the very same crossing
        flip = ya > yb
        xa, xb, ya, yb = (
            np.where(flip, xb, xa),
            np.where(flip, xa, xb),
            np.where(flip, yb, ya),
            np.where(flip, ya, yb),
        )
        x = xa + (xb - xa) * ((y - ya) / np.where(crosses, yb - ya, 1.0))
        low = np.where(crosses, np.minimum(low, x), low)
        high = np.where(crosses, np.maximum(high, x), high)
    empty = high < low
    left = np.where(empty, 0, np.clip(np.ceil(low - 0.5), 0, width)).astype(np.int64)
    right = np.where(empty, 0, np.clip(np.ceil(high - 0.5), 0, width)).astype(np.int64)
    return left, right


def _planes(corners: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """depth = origin + slope_x * x + slope_y * y for each triangle, and its least and greatest depth."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    det = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    safe = np.where(np.abs(det) < 1e-9, 1.0, det)
    slope_x = (ab[:, 2] * ac[:, 1] - ab[:, 1] * ac[:, 2]) / safe
    slope_y = (ab[:, 0] * ac[:, 2] - ab[:, 2] * ac[:, 0]) / safe
    origin = a[:, 2] - slope_x * a[:, 0] - slope_y * a[:, 1]
    return origin, slope_x, slope_y, corners[:, :, 2].min(1), corners[:, :, 2].max(1)


def farthest(buffer: Floats) -> Floats:
    """At each corner where four pixels meet, (height + 1, width + 1): the greatest of their depths.

    A line on a surface is never behind all four pixel centres around it, so this is what decides what hides it.
    """
    padded = np.pad(buffer, 1, constant_values=np.inf)
    rows = np.maximum(padded[:-1], padded[1:])
    return np.asarray(np.maximum(rows[:, :-1], rows[:, 1:]))


def dense(points: Floats, height: int, width: int, cell: int = 8, least: int = 10) -> NDArray[np.bool_]:
    """Which points (n, 2) belong to a line: a dot that peeps out between two surfaces has too few others near it."""
    pixel = np.unique(points.astype(np.int64) @ np.array([1, width]))
    grid = np.zeros((height // cell + 3, width // cell + 3))
    np.add.at(grid, (pixel // width // cell + 1, pixel % width // cell + 1), 1)
    rows = grid[:-2] + grid[1:-1] + grid[2:]
    near = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    at = points.astype(np.int64) // cell
    return np.asarray(near[at[:, 1], at[:, 0]] >= least)


def stamp(ink: NDArray[np.bool_], points: Floats, width: float) -> None:
    """Blacken a disc of that width about each point (n, 2), which must keep half a width from the border."""
    reach = int(np.ceil(width / 2))
    flat = ink.reshape(-1)
    at = np.unique(points.astype(np.int64) @ np.array([1, ink.shape[1]]))
    span = np.arange(-reach, reach + 1)
    dx, dy = np.meshgrid(span, span)
    inside = dx**2 + dy**2 <= (width / 2) ** 2 + 0.25
    for offset in (dy * ink.shape[1] + dx)[inside]:
        flat[at + offset] = True
