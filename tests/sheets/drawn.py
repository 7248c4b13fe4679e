"""Sheets for tests: pages of the sample office, and pages put together by hand."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from linework_office import sheets
from linework_office.office import plan


@cache
def composite_pages() -> list[tuple[sheets.Sheet, tuple[str, ...]]]:
    """Sheets of the sample office with two to four figures each, and the numbers of their designs' figures."""
    designs = [design for design in plan(40, seed=5) if max(design.sheets) > 1][:3]
    return [
        (page, tuple(label.removeprefix("FIG. ") for label in design.labels))
        for design in designs
        for page in sheets.draw(design)
        if len(page.figures) > 1
    ]


def grey(page: sheets.Sheet) -> Image.Image:
    return Image.fromarray(np.where(page.ink, 0, 255).astype(np.uint8))


def page(
    labels: Sequence[tuple[str, int, int]],
    shapes: Sequence[tuple[int, int, int, int]],
    letters: int = 60,
    size: tuple[int, int] = (1800, 2400),
) -> Image.Image:
    """A page with labels (text, left, top) and outlined shapes (left, top, right, bottom)."""
    image = Image.new("L", size, 255)
    canvas = ImageDraw.Draw(image)
    for text, left, top in labels:
        write(image, text, left, top, letters)
    for box in shapes:
        canvas.rectangle(box, outline=0, width=4)
        canvas.ellipse(box, outline=0, width=4)
    return image


def write(image: Image.Image, text: str, left: int, top: int, letters: int) -> None:
    font = ImageFont.load_default(size=letters)
    ImageDraw.Draw(image).text((left, top), text, fill=0, font=font)
