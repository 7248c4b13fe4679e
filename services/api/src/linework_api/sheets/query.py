"""What a child of the decoder makes of a query's picture. It is treated as a sheet of the corpus is: cut into its
drawings where that is certain, and without their labels.
"""

from dataclasses import dataclass

from PIL import Image

from linework_api.sheets.layout import Box, Layout, Part, cut, split
from linework_core import bounded, imaging
from linework_core.bounded import Decoded, as_decoded
from linework_core.errors import NothingDrawn

WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class QueryDrawing:
    """A drawing of a query. `box`: x0, y0, x1, y1 as fractions of the picture as it was sent; `figure` is the number of
    its label, where it was read; `turned`: degrees clockwise that bring it upright.
    """

    decoded: Decoded
    box: bounded.Box
    figure: str | None = None
    turned: int = 0


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """The drawings of a picture, and how many pixels were decoded. `reason` says why a sheet with labels is not cut."""

    drawings: tuple[QueryDrawing, ...]
    pixels: int
    reason: str | None = None


def read_picture(data: bytes, page: int, crop: bounded.Box | None, cuts: bool, most_pixels: int) -> QueryPicture:
    """Decode a query's picture, and with `cuts` split it as a sheet unless a crop names its drawing.

    Raises UnreadableImage, NothingDrawn.
    """
    image = imaging.open_image(data, page, most_pixels)
    pixels = imaging.pixels_to_decode(image, page)
    if crop is not None:
        return QueryPicture((_drawn(imaging.crop(image, crop), crop),), pixels)
    grey = imaging.greyscale(image)
    if not cuts:
        return QueryPicture((_drawn(grey, WHOLE),), pixels)
    dark = imaging.dark_on_white(grey)
    layout = split(dark)
    parts = layout.parts or ((layout.whole,) if layout.whole else ())
    if not parts:
        return QueryPicture((_drawn(grey, WHOLE),), pixels, layout.reason if layout.labels else None)
    drawings = tuple(_part(dark, layout, part) for part in parts)
    return QueryPicture(drawings, pixels, layout.reason)


def _part(sheet: Image.Image, layout: Layout, part: Part) -> QueryDrawing:
    box = _fractions(part.box, sheet.size)
    return _drawn(cut(sheet, layout, part), box, part.figure, 90 * layout.turn)


def _fractions(box: Box, size: tuple[int, int]) -> bounded.Box:
    left, top, width, height = box
    return left / size[0], top / size[1], (left + width) / size[0], (top + height) / size[1]


def _drawn(image: Image.Image, box: bounded.Box, figure: str | None = None, turned: int = 0) -> QueryDrawing:
    derivative = imaging.to_derivative(image)
    if imaging.is_blank(derivative):
        raise NothingDrawn("There is nothing drawn in the picture.")
    return QueryDrawing(as_decoded(derivative, image.size), box, figure, turned)
