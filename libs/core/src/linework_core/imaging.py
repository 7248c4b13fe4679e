"""The one way a picture becomes a derivative, at ingest and for a query alike (design, rule 7).

A derivative is what the models see: greyscale, long side at most 512 px, dark lines on white.
"""

import hashlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from linework_core.errors import UnreadableImage

RECIPE = "grey512-1"  # part of every derivative's hash and every encoder's: a new recipe is a new derivative
LONG_SIDE = 512
MAX_PIXELS = 100_000_000  # a sheet at 600 dpi has 34 million; beyond this it is a bomb
FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP")


def open_image(data: bytes, page: int = 1) -> Image.Image:
    """The picture in `data`, its pixels not yet decoded. Raises UnreadableImage, saying why.

    `page` is that of a TIFF or the frame of a GIF, from 1.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImage("This is no image of a known format (PNG, JPEG, TIFF, GIF, WebP, BMP).") from None
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error
    try:
        image.seek(page - 1)
    except EOFError:
        raise UnreadableImage(f"The image has no page {page}.") from None
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"The image has {width} x {height} pixels; {MAX_PIXELS:,} are allowed.")
    return image


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
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        return image.convert("L")
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"The image is damaged: {error}") from error


def _stretched(image: Image.Image) -> Image.Image:
    """16- and 32-bit greys to 8 bits by their own range; Pillow's own conversion clips them at 255."""
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.full_like(values, 255.0)
    return Image.fromarray(scaled.round().astype(np.uint8))


def dark_on_white(grey: Image.Image) -> Image.Image:
    """White lines on black, where both the rim and most of the picture are dark, turn into black lines on white."""
    pixels = np.asarray(grey)
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return ImageOps.invert(grey) if np.median(rim) < 128 and pixels.mean() < 128 else grey
