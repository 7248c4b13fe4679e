"""The one way a picture becomes a derivative, at ingest and for a query alike (design, rule 7).

A derivative is what the models see: greyscale, long side at most 512 px, dark lines on white.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from linework_core.errors import UnreadableImage

RECIPE = "grey512-1"  # part of every derivative's hash and every encoder's: a new recipe is a new derivative
LONG_SIDE = 512
MAX_PIXELS = 100_000_000  # a sheet at 600 dpi has 34 million; beyond this it is a bomb
FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP")
CONTRAST = 24  # greys by which ink differs from paper: more than a JPEG's noise, less than a thin line's on a sheet
BAND = 2**20  # pixels that are converted at once, where a conversion needs many bytes for each


def open_image(data: bytes, page: int = 1, most_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in `data`, its pixels not yet decoded. Raises UnreadableImage, saying why.

    `page` is that of a TIFF or the frame of a GIF, from 1. The frames before it count among `most_pixels`: each is
    drawn upon the one before, so that all of them have to be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImage("This is no image of a known format (PNG, JPEG, TIFF, GIF, WebP, BMP).") from None
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error
    _turn_to(image, page, most_pixels)
    return image


def _turn_to(image: Image.Image, page: int, most_pixels: int) -> None:
    """Raises UnreadableImage where there is no such page, or more is to be decoded for it than is allowed."""
    _check_size(image, 1, most_pixels)
    try:
        if image.format == "TIFF":  # a page stands for itself, and its size is not that of the first
            image.seek(page - 1)
        else:
            for frame in range(2, page + 1):
                _check_size(image, frame, most_pixels)
                image.seek(frame - 1)
    except EOFError:
        raise UnreadableImage(f"The image has no page {page}.") from None
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error
    _check_size(image, page, most_pixels)


def _check_size(image: Image.Image, page: int, most_pixels: int) -> None:
    if pixels_to_decode(image, page) > most_pixels:
        width, height = image.size
        times = f"{page:,} frames of " if page > 1 and image.format != "TIFF" else ""
        raise UnreadableImage(f"The image has {times}{width} x {height} pixels; {most_pixels:,} are allowed.")


def pixels_to_decode(image: Image.Image, page: int) -> int:
    """The pixels of a page of a TIFF, or of a frame and all before it."""
    return image.width * image.height * (1 if image.format == "TIFF" else page)


def crop(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """The part of a picture within x0, y0, x1, y1 (fractions of its upright width and height), at least a pixel."""
    try:
        image = ImageOps.exif_transpose(image)
        width, height = image.size
        left, upper = min(int(box[0] * width), width - 1), min(int(box[1] * height), height - 1)
        right, lower = max(left + 1, round(box[2] * width)), max(upper + 1, round(box[3] * height))
        return image.crop((left, upper, right, lower))
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error


def upright(image: Image.Image, box: tuple[int, int, int, int], turned: int) -> Image.Image:
    """The part of a picture within a box (left, top, width, height in pixels), turned clockwise by 0, 90, 180 or 270
    degrees.
    """
    left, top, width, height = box
    turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    part = image.crop((left, top, left + width, top + height))
    return part.transpose(turns[turned]) if turned else part


def to_derivative(image: Image.Image) -> Image.Image:
    """Greyscale 'L' picture on white, long side at most 512 px. Raises UnreadableImage if decoding fails.

    It is reduced by floor(long/512) with a box filter before the resize: a bilevel sheet of 300 dpi turns
    into smooth greys at no cost, and the Lanczos resize then works on few pixels.
    """
    grey = greyscale(image)
    factor = max(grey.size) // LONG_SIDE
    if factor > 1:
        grey = grey.reduce(factor)
    long_side = max(grey.size)
    if long_side > LONG_SIDE:
        size = tuple(max(1, round(side * LONG_SIDE / long_side)) for side in grey.size)
        grey = grey.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return dark_on_white(grey)


def is_blank(derivative: Image.Image) -> bool:
    """Whether there is no drawing: an empty sheet, a dot or a few specks, or one grey all over.

    Ink is what differs from most of the picture. A drawing's ink spreads over a twelfth of the long side at least, and
    has as many pixels as a stroke across an eighth of it. Of 4,000 real drawings the least spread is a half, and the
    least ink a stroke across all of it.
    """
    pixels = np.asarray(derivative).astype(np.int16)
    rows, columns = np.nonzero(np.abs(pixels - np.median(pixels)) > CONTRAST)
    if not len(rows):
        return True
    long_side = max(pixels.shape)
    spread = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    return bool(spread < long_side / 12 or len(rows) < long_side / 8)


def to_picture(image: Image.Image, long_side: int) -> Image.Image:
    """The picture as people are shown it: dark lines on white as in its derivative, at most `long_side` pixels
    long and never enlarged. Raises UnreadableImage if decoding fails.
    """
    grey = greyscale(image)
    grey.thumbnail((long_side, long_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return dark_on_white(grey)


def derivative_of(data: bytes) -> bytes:
    """The derivative of an encoded picture, as PNG bytes. Raises UnreadableImage."""
    return encode_png(to_derivative(open_image(data)))


def encode_png(image: Image.Image) -> bytes:
    """PNG bytes of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def derivative_hash(derivative: Image.Image) -> str:
    """SHA-256 over recipe, size and pixels, so that it does not change with a PNG library's version."""
    digest = hashlib.sha256(f"{RECIPE}:{derivative.width}x{derivative.height}:".encode())
    digest.update(derivative.tobytes())
    return digest.hexdigest()


def greyscale(image: Image.Image) -> Image.Image:
    """The whole picture in greys (mode 'L'), transparency on white. Raises UnreadableImage if decoding fails."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            image = _stretched(image)
        elif image.has_transparency_data:
            image = _on_white(image)
        return image.convert("L")
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error


def _on_white(image: Image.Image) -> Image.Image:
    grey = Image.new("L", image.size)
    for top, lower in _bands(image):
        rgba = image.crop((0, top, image.width, lower)).convert("RGBA")
        grey.paste(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("L"), (0, top))
    return grey


def _bands(image: Image.Image) -> Iterator[tuple[int, int]]:
    """First row and last (exclusive) of each band: the steps of a conversion need many bytes for each pixel."""
    rows = max(1, BAND // image.width)
    return ((top, min(top + rows, image.height)) for top in range(0, image.height, rows))


def _stretched(image: Image.Image) -> Image.Image:
    """16- and 32-bit greys to 8 bits by their own range; Pillow's own conversion clips them at 255."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return Image.new("L", image.size, "white")
    grey = np.empty(values.shape, np.uint8)
    table = _to_8_bits(np.arange(2**16), low, high) if values.dtype.itemsize == 2 else None
    for top, lower in _bands(image):
        band = values[top:lower]
        grey[top:lower] = _to_8_bits(band, low, high) if table is None else table[band]
    return Image.fromarray(grey)


def _to_8_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
    return np.asarray(scaled.round().astype(np.uint8))


def dark_on_white(grey: Image.Image) -> Image.Image:
    """White lines on black, where both the rim and most of the picture are dark, turn into black lines on white."""
    pixels = np.asarray(grey)
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return ImageOps.invert(grey) if np.median(rim) < 128 and pixels.mean() < 128 else grey
