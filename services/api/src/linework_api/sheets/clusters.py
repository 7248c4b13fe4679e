"""Ink that belongs together: parts of a sheet, and which label each of them has."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from linework_api.sheets.page import TOUCHING, Boxes

CELL = 4  # pixels of the page in a cell of the grid on which ink is gathered
CUTS = 60  # so many of the widest gaps are tried
ASKEW = 3.0  # on one side of a label, a pixel out of line is as far as so many straight ahead
CLEARLY = 0.7  # an arrangement of labels is certain if any other would lie so much farther from its drawings
Cells = NDArray[np.int32]  # each cell's part from 1; 0 is paper
Floats = NDArray[np.float64]


def grid(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells in which there is ink."""
    rows, columns = (-(-side // CELL) for side in ink.shape)
    padded = np.zeros((rows * CELL, columns * CELL), dtype=bool)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    return np.asarray(padded.reshape(rows, CELL, columns, CELL).any(axis=(1, 3)))


def parted(inked: NDArray[np.bool_], wanted: int, least: float, gap: float) -> Cells | None:
    """The ink in as many parts as wanted, the widest white between them; None where that cannot be.

    A part is at least so many cells long; what is smaller goes with its nearest part. Parts lie more than `gap`
    cells from one another.
    """
    pieces, count = ndimage.label(inked, TOUCHING)
    if count < wanted:
        return None
    boxes = _boxes(pieces)
    one, other, distance = _links(pieces, count)
    order = np.argsort(-distance, kind="stable")
    one, other, distance = one[order], other[order], distance[order]
    for cut in range(wanted - 1, min(CUTS, len(one)) + 1):
        if cut and distance[cut - 1] <= gap:
            return None
        parts = _joined(count, one[cut:], other[cut:])
        large = _lengths(boxes, parts) >= least
        if large.sum() == wanted:
            parts = _with_small(parts, large, one[:cut][::-1], other[:cut][::-1])
            return np.asarray(np.append(0, parts + 1)[pieces], dtype=np.int32)
        if large.sum() > wanted:
            return None
    return None


def _boxes(pieces: NDArray[np.int32]) -> Boxes:
    spans = [(r.start, c.start, r.stop, c.stop) for r, c in ndimage.find_objects(pieces)]
    return np.array(spans, dtype=np.int64).reshape(-1, 4)


def _links(pieces: NDArray[np.int32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The shortest connections that join all pieces: from, to (from 0), and how long in cells."""
    away, nearest = ndimage.distance_transform_edt(pieces == 0, return_indices=True)
    owner = pieces[tuple(nearest)] - 1
    links = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        border = owner[here] != owner[there]
        a, b = owner[here][border], owner[there][border]
        links.append(
            np.column_stack([np.minimum(a, b), np.maximum(a, b), away[here][border] + away[there][border] + 1])
        )
    every = np.concatenate(links)
    every = every[np.lexsort(every.T[::-1])]
    first = np.ones(len(every), dtype=bool)
    first[1:] = (every[1:, :2] != every[:-1, :2]).any(axis=1)
    a, b, distance = every[first].T
    tree = minimum_spanning_tree(sparse.coo_matrix((distance, (a.astype(int), b.astype(int))), (count, count))).tocoo()
    return tree.row.astype(np.int64), tree.col.astype(np.int64), tree.data


def _joined(count: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    links = sparse.coo_matrix((np.ones(len(one)), (one, other)), (count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def _lengths(boxes: Boxes, parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The long side of each part in cells."""
    low = np.full((parts.max() + 1, 2), np.iinfo(np.int64).max)
    high = np.zeros_like(low)
    np.minimum.at(low, parts, boxes[:, :2])
    np.maximum.at(high, parts, boxes[:, 2:])
    return np.asarray((high - low).max(axis=1))


def _with_small(
    parts: NDArray[np.int64], large: NDArray[np.bool_], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Parts that are too small are joined by the shortest links first; never two large ones."""
    for a, b in zip(one, other, strict=True):
        first, second = parts[a], parts[b]
        if first == second or (large[first] and large[second]):
            continue
        kept, gone = (first, second) if large[first] else (second, first)
        parts = np.where(parts == gone, kept, parts)
    return np.unique(parts, return_inverse=True)[1]


def arranged(cells: Cells, labels: Sequence[tuple[int, int, int, int]]) -> list[int] | None:
    """The part (from 1) of each label (top, left, bottom, right in cells); None unless there is one clear answer.

    Labels stand all below their drawings, all above, all to one side, or each nearest to its own. Of the
    arrangements that give each label a part of its own the closest counts, if it is clearly so.
    """
    away = _distances(cells, labels)
    closest: dict[tuple[int, ...], float] = {}
    for distance in away:
        choice = distance.argmin(axis=1)
        cost = float(distance[np.arange(len(labels)), choice].sum())
        if np.isfinite(cost) and len(set(choice.tolist())) == len(labels):
            key = tuple(choice.tolist())
            closest[key] = min(cost, closest.get(key, np.inf))
    ranked = sorted(closest, key=lambda key: closest[key])
    if not ranked or (len(ranked) > 1 and closest[ranked[0]] > CLEARLY * closest[ranked[1]]):
        return None
    return [part + 1 for part in ranked[0]]


def _distances(cells: Cells, labels: Sequence[tuple[int, int, int, int]]) -> Floats:
    """How far each part is from each label, (5, labels, parts): anywhere, above, below, left and right of it.

    On one side of a label what is straight ahead counts before what is nearer askew.
    """
    count = int(cells.max())
    found = np.full((5, len(labels), count), np.inf)
    for part in range(count):
        y, x = np.nonzero(cells == part + 1)
        for index, (top, left, bottom, right) in enumerate(labels):
            down = np.maximum(np.maximum(top - y, y - bottom + 1), 0)
            across = np.maximum(np.maximum(left - x, x - right + 1), 0)
            upright, level = np.hypot(down, ASKEW * across), np.hypot(ASKEW * down, across)
            sides = ((upright, y < top), (upright, y >= bottom), (level, x < left), (level, x >= right))
            ahead = [away[side].min(initial=np.inf) for away, side in sides]
            found[:, index, part] = [np.hypot(down, across).min(), *ahead]
    return found
