"""Sheets: figures and their printed labels on bilevel pages, and the pages as G4 TIFF."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.TiffImagePlugin import IMAGEDESCRIPTION, PHOTOMETRIC_INTERPRETATION, ROWSPERSTRIP, SAMPLESPERPIXEL

from .design import Design
from .dice import Dice
from .drawing import MARGIN, Projection, ink, project
from .outline import Flags, Shape, shape_of
from .solids import FAMILIES

DPI = 300
PAGE = (1950, 2550)  # pixels that USPTO lets a drawing fill on a portrait page, about
GAP = 130  # pixels between figures
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sheet:
    """One page: ink (height, width), True where black; number 0 is the front page, which repeats a figure.

    `figures` holds, for each figure on it, its index within the design and the box (left, top, right, bottom) of its
    drawing, label left out: the truth for whoever splits composite sheets. `broken`: it shows broken lines.
    """

    number: int
    ink: Flags
    figures: tuple[tuple[int, Box], ...]
    broken: bool


def shape(design: Design) -> Shape:
    """The design's solid, ready to be drawn."""
    model = FAMILIES[design.family].make(Dice(*design.seed, variant=design.variant))
    return shape_of(model.claimed, model.unclaimed)


def draw(design: Design, size: float = 1.0) -> list[Sheet]:
    """All sheets of a design, front page first. `size` below 1 shrinks pages (and time), not lines."""
    solid = shape(design)
    seen = [project(solid, design.view(name)) for name in design.views]
    pages, first = [], 0
    for count in design.sheets:
        pages.append(range(first, first + count))
        first += count
    fits = [_fit([seen[k].size for k in page], design.label, size) for page in pages]
    sheets = []
    for number, page in enumerate(pages, 1):
        alike = [fit for fit, other in zip(fits, pages, strict=True) if (len(other) == 1) == (len(page) == 1)]
        scale = min(fit[0] for fit in alike)
        sheets.append(_compose(design, number, page, seen, scale, fits[number - 1][1]))
    return [_front_page(sheets[0]), *sheets]


def _fit(sizes: Sequence[tuple[float, float]], label: int, shrink: float) -> tuple[float, int]:
    """The greatest scale (pixels per mm) at which figures of these sizes fill a page, upright or lying, in how many
    columns.
    """
    options = []
    for wide, tall in (PAGE, PAGE[::-1]):
        for columns in range(1, len(sizes) + 1):
            rows = -(-len(sizes) // columns)
            cell = ((wide - GAP * (columns - 1)) / columns, (tall - (GAP + 2 * label) * rows) / rows)
            scale = min(min(cell[0] / w, cell[1] / h) for w, h in sizes)
            options.append((scale * shrink, columns))
    return max(options)


def _compose(
    design: Design, number: int, page: Sequence[int], seen: list[Projection], scale: float, columns: int
) -> Sheet:
    """Draw the figures of one page in a grid, each with its label below, and crop the page to them."""
    drawings = [ink(seen[k], scale, design.pen) for k in page]
    labels = [_label(design.labels[k], design.label) for k in page]
    rows = [range(start, min(start + columns, len(page))) for start in range(0, len(page), columns)]
    cell = max(max(d.shape[1], m.shape[1]) for d, m in zip(drawings, labels, strict=True))
    heights = [max(drawings[i].shape[0] for i in row) + design.label // 2 + labels[0].shape[0] for row in rows]
    width = min(columns, len(page)) * (cell + GAP) - GAP
    sheet = np.zeros((sum(heights) + GAP * (len(rows) - 1), width), dtype=bool)
    figures, top = [], 0
    for row, height in zip(rows, heights, strict=True):
        for place, i in enumerate(row):
            free = (width - len(row) * (cell + GAP) + GAP) // 2  # a short last row stands in the middle
            centre = free + place * (cell + GAP) + cell // 2
            box = _paste(sheet, drawings[i], centre, top + (height - labels[i].shape[0] - drawings[i].shape[0]) // 2)
            _paste(sheet, labels[i], centre, top + height - labels[i].shape[0])
            figures.append((page[i], box))
        top += height + GAP
    return Sheet(number, sheet, tuple(figures), bool(seen[0].shape.broken.any()))


def _paste(sheet: Flags, part: Flags, centre: int, top: int) -> Box:
    """Put a part on the sheet, horizontally centred there; where it went."""
    height, width = part.shape
    left = centre - width // 2
    sheet[top : top + height, left : left + width] |= part
    return left, top, left + width, top + height


@cache
def _label(text: str, size: int) -> Flags:
    """A printed label, with the margin of a drawing."""
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    image = Image.new("L", (right - left + 2 * MARGIN, bottom - top + 2 * MARGIN))
    ImageDraw.Draw(image).text((MARGIN - left, MARGIN - top), text, fill=255, font=font)
    return np.asarray(image) > 127


def _front_page(sheet: Sheet) -> Sheet:
    """The front page shows the first figure once more, without its label."""
    index, (left, top, right, bottom) = sheet.figures[0]
    drawing = sheet.ink[top:bottom, left:right]
    return Sheet(0, drawing, ((index, (0, 0, right - left, bottom - top)),), sheet.broken)


def tiff(sheet: Sheet) -> bytes:
    """The page as USPTO stores it: one strip of CCITT G4, one bit a pixel, 300 dpi, WhiteIsZero."""
    page = "OGFIG" if sheet.number == 0 else f"PG{sheet.number:06d}"
    info = {IMAGEDESCRIPTION: f"**DRAWING;{page};BW;P", ROWSPERSTRIP: sheet.ink.shape[0], SAMPLESPERPIXEL: 1}
    out = io.BytesIO()
    Image.fromarray(sheet.ink).save(out, "TIFF", compression="group4", dpi=(DPI, DPI), tiffinfo=info)
    return _white_is_zero(out.getvalue())


def _white_is_zero(data: bytes) -> bytes:
    """Correct the one tag that says what a bit means.

    Pillow calls a set bit white. Ink was given to it as set bits, as G4 wants them, so the tag alone is wrong;
    asking Pillow for WhiteIsZero would invert the image pixel by pixel, in Python.
    """
    start = struct.unpack("<I", data[4:8])[0]
    tag = struct.pack("<HHIHH", PHOTOMETRIC_INTERPRETATION, 3, 1, 1, 0)
    at = data.index(tag, start)
    return data[:at] + tag[:8] + bytes(4) + data[at + 12 :]
