"""Printed labels on a sheet, 'FIG. 2', 'Fig. 3A' or '1.1': where they are, which way up, and what they say.

There is no general reading of text here. Signs of one row are looked for that can be F, I and G by their shape; a
network reads them, and what follows must be one of the patent's figures. Sheets may lie on either side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from linework_api.sheets import glyphs
from linework_api.sheets.page import Boxes, Page

TURNS = (0, 1, 3)  # quarter turns clockwise that may bring a sheet upright; nothing is filed upside down
LEAST, MOST = 7, 90  # pixels of the page that a printed letter is high
MOST_SIGNS = (
    4000  # that could be letters: the fullest of real sheets have 1,500, a halftone or a hostile picture has more
)
LIKELY = 0.3  # of F, I and G together: then it is a label, whatever it says
CERTAIN, ALONE = 0.5, 0.98  # how likely a number must be, and its share among all that it could be, to count as read
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Label:
    """One printed label. Boxes are (top, left, bottom, right) in pixels of the page, as it was filed."""

    number: str | None  # of the figure, where it is read with certainty
    box: tuple[int, int, int, int]
    signs: tuple[int, ...]  # indices of the page's components that belong to it
    turn: int  # quarter turns clockwise that bring it upright
    height: int  # pixels of its letters


class Row:
    """A page turned upright by quarter turns, as rows of text see it."""

    def __init__(self, page: Page, turn: int) -> None:
        self.page, self.turn = page, turn
        self.boxes = _turned(page.boxes, page.grey.shape, turn)
        self.top, self.left, self.bottom, self.right = self.boxes.T
        self.height, self.width = self.bottom - self.top, self.right - self.left
        self.middle = (self.top + self.bottom) / 2

    def shares(self, signs: Sequence[int]) -> glyphs.Floats:
        """How likely each of these components is each sign: (n, len(SIGNS))."""
        return glyphs.probabilities(np.stack([glyphs.normalised(self._ink(sign)) for sign in signs]))

    def _ink(self, index: int) -> NDArray[np.uint8]:
        top, left, bottom, right = self.page.boxes[index]
        mine = self.page.owner[top:bottom, left:right] == self.page.numbers[index]
        ink = np.where(mine, 255 - self.page.grey[top:bottom, left:right], 0)
        return np.ascontiguousarray(np.rot90(ink, -self.turn))

    def following(self, able: Ints, gap: float, least: float) -> Ints:
        """For each of the components `able` the one that follows it in its row, or -1.

        Two signs are of one row if they are about as high (`least` or more) and half beside one another; `gap` is
        the most between them. Gaps are in heights of a sign.
        """
        after = np.full(len(self.boxes), -1)
        if len(able) < 2:
            return after
        starts = cKDTree(np.column_stack([self.left, self.middle])[able])
        ends = np.column_stack([self.right, self.middle])[able]
        near = starts.query(ends, k=min(6, len(able)), distance_upper_bound=MOST)[1]
        one = np.repeat(able, near.shape[1])
        other = np.append(able, -1)[near.ravel()]
        one, other = one[other >= 0], other[other >= 0]
        high = np.maximum(self.height[one], self.height[other])
        low = np.minimum(self.height[one], self.height[other])
        space = self.left[other] - self.right[one]
        beside = np.minimum(self.bottom[one], self.bottom[other]) - np.maximum(self.top[one], self.top[other])
        fits = (space > -0.3 * high) & (space < gap * high) & (low > least * high) & (beside > 0.5 * low)
        fits &= self.left[other] > self.left[one] + self.width[one] // 2
        one, other, space = one[fits], other[fits], space[fits]
        order = np.argsort(-space, kind="stable")  # the nearest is written last
        after[one[order]] = other[order]
        return after


def find(page: Page, figures: Sequence[str] | None) -> list[Label]:
    """The labels of a sheet. `figures` are the numbers that a patent's text names; None: any number is possible."""
    numbered = figures is not None and any("." in figure for figure in figures)
    found = []
    for turn in TURNS:
        row = Row(page, turn)
        able = np.flatnonzero((row.height >= LEAST) & (row.height <= MOST) & (row.width <= 1.4 * row.height))
        if len(able) > MOST_SIGNS:
            continue
        found += list(_figs(row, able, figures))
        if numbered:
            found += list(_numbers(row, able, figures or ()))
    return found


def _figs(row: Row, able: Ints, figures: Sequence[str] | None) -> Iterator[Label]:
    """Labels that begin with 'FIG' or 'Fig'."""
    after = row.following(able, gap=0.8, least=0.5)
    first = able[(after[able] >= 0)]
    first = first[after[after[first]] >= 0]
    second, third = after[first], after[after[first]]
    high = row.height[first]
    fits = (row.width[second] < 0.95 * high) & (row.height[second] > 0.6 * high) & (row.height[second] < 1.2 * high)
    fits &= np.abs(row.bottom[first] - row.bottom[second]) < 0.15 * high + 1
    for part in (first, third):
        fits &= (row.width[part] > 0.3 * high) & (row.width[part] < 1.3 * high)
    for f, i, g in zip(first[fits], second[fits], third[fits], strict=True):
        shares = row.shares((f, i, g))
        likely = [
            sum(share[glyphs.SIGNS.index(s)] for s in looks)
            for share, looks in zip(shares, ("F", "Ii1", "Gg"), strict=True)
        ]
        if np.prod(likely) < LIKELY:
            continue
        tail = _tail(row, f, g)
        said = tail[3:] if len(tail) > 3 else tail  # 'Figure 8' goes on after 'Fig'
        number = _read(row.shares(said), figures) if said else None
        yield _label(row, (f, i, g, *tail), number, int(row.height[f]))


def _tail(row: Row, f: int, g: int) -> list[int]:
    """The signs after 'FIG', on its line and of about its height, six at most."""
    high, base = row.height[f], row.bottom[f]
    near = (row.left > row.right[g] - 0.1 * high) & (row.left < row.right[g] + 6 * high)
    near &= (np.abs(row.bottom - base) < 0.25 * high) & (row.height > 0.55 * high) & (row.height < 1.35 * high)
    signs: list[int] = []
    end, gap = row.right[g], 2.2
    for sign in sorted(np.flatnonzero(near), key=lambda k: int(row.left[k])):
        if row.left[sign] > end + gap * high or len(signs) == 6:
            break
        signs.append(int(sign))
        end, gap = row.right[sign], 0.6 if len(signs) != 3 else 1.5
    return signs


def _numbers(row: Row, able: Ints, figures: Sequence[str]) -> Iterator[Label]:
    """Labels that are a number with a dot, as in '1.4', with nothing else in their row."""
    after = row.following(able, gap=1.2, least=0.8)
    followed = set(after[after >= 0].tolist())
    for start in able[after[able] >= 0]:
        if int(start) in followed:
            continue
        signs = [int(start)]
        while after[signs[-1]] >= 0 and len(signs) < 6:
            signs.append(int(after[signs[-1]]))
        dot = _dot(row, signs)
        if dot is None:
            continue
        place, point = dot
        able_here = [figure for figure in figures if figure.find(".") == place and len(figure) == len(signs) + 1]
        number = _read(row.shares(signs), [figure.replace(".", "") for figure in able_here]) if able_here else None
        if number is not None:
            figure = f"{number[:place]}.{number[place:]}"
            yield _label(row, (*signs, point), figure, int(row.height[start]))


def _dot(row: Row, signs: list[int]) -> tuple[int, int] | None:
    """Between which two of the signs the one dot on their line stands, and its component."""
    high, base = row.height[signs[0]], row.bottom[signs[0]]
    small = (row.height < 0.35 * high) & (row.width < 0.45 * high) & (np.abs(row.bottom - base) < 0.15 * high + 1)
    small &= (row.left > row.right[signs[0]] - 0.1 * high) & (row.right < row.left[signs[-1]] + 0.1 * high)
    dots = np.flatnonzero(small)
    if len(dots) != 1:
        return None
    place = int(np.searchsorted(row.left[signs], row.left[dots[0]]))
    return place, int(dots[0])


def _read(shares: glyphs.Floats, figures: Sequence[str] | None) -> str | None:
    """The one figure that these signs certainly say."""
    length = len(shares)
    able = _any_number(length) if figures is None else [figure for figure in figures if len(figure) == length]
    likely = {
        figure: float(
            np.prod([glyphs.likelihood(sign, share) for sign, share in zip(figure.upper(), shares, strict=True)])
        )
        for figure in able
    }
    if not likely:
        return None
    best = max(likely, key=lambda figure: likely[figure])
    return best if likely[best] > CERTAIN and likely[best] > ALONE * sum(likely.values()) else None


def _any_number(length: int) -> list[str]:
    """1 to 99, and each with a letter."""
    digits, letters = "0123456789", "ABCDEFGH"
    numbers = [*map("".join, product(digits, repeat=length))] if length <= 2 else []
    lettered = ["".join(signs) for signs in product(*[digits] * (length - 1), letters)] if 2 <= length <= 3 else []
    return [number for number in (*numbers, *lettered) if number[0] != "0"]


def _label(row: Row, signs: Sequence[int], number: str | None, height: int) -> Label:
    """With the dots that stand among its signs."""
    boxes = row.page.boxes
    own = boxes[list(signs)]
    low, high = own[:, :2].min(axis=0), own[:, 2:].max(axis=0)
    slack = max(2, height // 5)
    inside = (boxes[:, :2] >= low - slack).all(axis=1) & (boxes[:, 2:] <= high + slack).all(axis=1)
    box = int(low[0]), int(low[1]), int(high[0]), int(high[1])
    return Label(number, box, tuple(np.flatnonzero(inside).tolist()), row.turn, height)


def _turned(boxes: Boxes, shape: tuple[int, ...], turn: int) -> Boxes:
    """Boxes on the page after so many quarter turns clockwise."""
    top, left, bottom, right = boxes.T
    height, width = shape
    turned = {
        0: (top, left, bottom, right),
        1: (left, height - bottom, right, height - top),
        2: (height - bottom, width - right, height - top, width - left),
        3: (width - right, top, width - left, bottom),
    }
    return np.column_stack(turned[turn % 4])
