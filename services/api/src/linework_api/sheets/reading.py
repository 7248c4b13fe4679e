"""What a child of the decoder makes of a sheet: the derivatives of its drawings, and of the sheet in one piece."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from linework_api.sheets.layout import Box, Layout, Part, cut, split
from linework_core import imaging
from linework_core.bounded import Decoded, derived


@dataclass(frozen=True, slots=True)
class Piece:
    """A drawing's derivative, and its box on the sheet as filed (left, top, width, height; None: all of it)."""

    decoded: Decoded
    box: Box | None


@dataclass(frozen=True, slots=True)
class SheetRead:
    """A sheet with its drawings.

    `figures`: of each label, in the order of `parts` where there are parts; None where a label was not read. `reason`
    says why there are no parts. `turned`: degrees clockwise that the pictures were turned. `size` in pixels.
    """

    size: tuple[int, int]
    figures: tuple[str | None, ...]
    whole: Piece
    parts: tuple[Piece, ...]
    turned: int
    reason: str | None


def read_sheet(data: bytes, figures: Sequence[str]) -> SheetRead:
    """Decode a sheet and split it. `figures` are the numbers that its patent's text names. Raises UnreadableImage."""
    grey = imaging.greyscale(imaging.open_image(data))
    dark = imaging.dark_on_white(grey)
    layout = split(dark, figures)
    whole = _piece(dark, layout, layout.whole) if layout.whole else Piece(derived(grey), None)
    alone = len(layout.parts) == 1
    parts = (whole,) if alone else tuple(_piece(dark, layout, part) for part in layout.parts)
    told = tuple(part.figure for part in layout.parts) or tuple(label.number for label in layout.labels)
    return SheetRead(grey.size, told, whole, parts, 90 * layout.turn, layout.reason)


def _piece(grey: Image.Image, layout: Layout, part: Part) -> Piece:
    return Piece(derived(cut(grey, layout, part)), part.box)
