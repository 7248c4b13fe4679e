"""How a sheet is split: its labels, and the drawing that each of them names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linework_api.sheets import clusters, labels
from linework_api.sheets.labels import Label
from linework_api.sheets.page import Page, page_of
from linework_core.imaging import upright

MARGIN = 3  # pixels of the page left white around a drawing
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """A drawing on a sheet: its box (left, top, width, height in pixels of the sheet as filed), the figure that its
    label names if it was read, and its number on the grid, 0 for all ink.
    """

    box: Box
    figure: str | None
    cells: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What was made out on a sheet.

    `parts` are its drawings, one for each label, none where that is not certain; then `reason` says why:
    'no-label', 'label-repeated', 'labels-turned' or 'not-separable'. `whole` is all its ink but the labels, if
    it is certain what they are.
    """

    page: Page
    labels: tuple[Label, ...] = ()
    parts: tuple[Part, ...] = ()
    whole: Part | None = None
    cells: clusters.Cells | None = None
    reason: str | None = None

    @property
    def turn(self) -> int:
        """Quarter turns clockwise that bring the sheet upright."""
        return self.labels[0].turn if self.whole else 0


def split(grey: Image.Image, figures: Sequence[str] | None = None) -> Layout:
    """Make out the drawings of a greyscale sheet, dark on white.

    `figures` are the numbers of the patent's figures, '2', '3A' or '1.4': a label says one of them or
    is not read; None where the text is not known.
    """
    page = page_of(grey)
    found = tuple(labels.find(page, figures))
    kept = _without_references(found)
    inked = clusters.grid(_without(page, kept or ()))
    if not found or not inked.any():
        return Layout(page, reason="no-label")
    if len({label.turn for label in found}) > 1:
        return Layout(page, found, reason="labels-turned")
    if kept is None:
        return Layout(page, found, reason="label-repeated")
    whole = Part(_box(inked, page, grey.size), None, 0)
    if len(kept) == 1:
        return Layout(page, kept, (replace(whole, figure=kept[0].number),), whole)
    cells, order = _parted(inked, kept)
    if cells is None or order is None:
        return Layout(page, kept, (), whole, reason="not-separable")
    parts = [
        Part(_box(cells == part, page, grey.size), label.number, part) for part, label in zip(order, kept, strict=True)
    ]
    return Layout(page, kept, tuple(sorted(parts, key=_reading_order)), whole, cells)


def _parted(inked: NDArray[np.bool_], kept: Sequence[Label]) -> tuple[clusters.Cells | None, list[int] | None]:
    letter = float(np.median([label.height for label in kept])) / clusters.CELL
    cells = clusters.parted(inked, len(kept), least=1.5 * letter, gap=max(2.0, 0.4 * letter))
    boxes = [tuple(side // clusters.CELL for side in label.box) for label in kept]
    return cells, clusters.arranged(cells, boxes) if cells is not None else None  # type: ignore[arg-type]


def _reading_order(part: Part) -> tuple[int, int]:
    return part.box[1], part.box[0]


def _without_references(found: tuple[Label, ...]) -> tuple[Label, ...] | None:
    """The labels less those that only refer to a figure, in another size than the rest; None if they repeat."""
    numbers = [label.number for label in found if label.number is not None]
    if len(set(numbers)) == len(numbers):
        return found
    once = [label.height for label in found if numbers.count(label.number or "") <= 1]
    usual = float(np.median(once)) if once else 0.0
    kept = [
        label
        for label in found
        if label.number is None
        or numbers.count(label.number) == 1
        or abs(label.height / usual - 1 if usual else 1) < 0.15
    ]
    left = [label.number for label in kept if label.number is not None]
    return tuple(kept) if len(set(left)) == len(left) == len(set(numbers)) else None


def _without(page: Page, gone: Sequence[Label]) -> NDArray[np.bool_]:
    """The page's ink less specks and the signs of labels."""
    stays = np.zeros(int(page.owner.max()) + 1, dtype=bool)
    stays[page.numbers] = True
    for label in gone:
        stays[page.numbers[list(label.signs)]] = False
    return np.asarray(stays[page.owner])


def _box(mine: NDArray[np.bool_], page: Page, size: tuple[int, int]) -> Box:
    """In pixels of the sheet, with a margin."""
    rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
    cell, margin = clusters.CELL * page.factor, MARGIN * page.factor
    left, top = (max(0, int(side[0]) * cell - margin) for side in (columns, rows))
    right = min(size[0], (int(columns[-1]) + 1) * cell + margin)
    lower = min(size[1], (int(rows[-1]) + 1) * cell + margin)
    return left, top, right - left, lower - top


def cut(grey: Image.Image, layout: Layout, part: Part) -> Image.Image:
    """A drawing upright, without its label and without what else reaches into its box."""
    clean = without_labels(grey, layout)
    if layout.cells is not None and part.cells:
        cell = clusters.CELL * layout.page.factor
        left, top, width, height = part.box
        rows, columns = np.arange(top, top + height) // cell, np.arange(left, left + width) // cell
        owner = layout.cells[np.ix_(rows, columns)]
        clean.paste(255, (left, top), Image.fromarray((owner != 0) & (owner != part.cells)))
    return upright(clean, part.box, 90 * layout.turn)


def without_labels(grey: Image.Image, layout: Layout) -> Image.Image:
    """A copy with the labels' signs painted white."""
    page, image = layout.page, grey.copy() if layout.labels else grey
    for label in layout.labels:
        for top, left, bottom, right in page.boxes[list(label.signs)] * page.factor:
            image.paste(255, (int(left), int(top), int(right), int(bottom)))
    return image
