"""Drawings for the tests of encoders, and encoders small enough for them."""

from collections.abc import Callable, Iterator

import pytest
from PIL import Image, ImageDraw

from linework_core.settings import get_settings

Draw = Callable[..., Image.Image]
TINY_TIMM = "timm:test_resnet;pretrained=false;seed=0"


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Makes derivatives: a few lines and a circle on white, different for each seed."""

    def drawing(seed: int = 0, size: tuple[int, int] = (300, 512)) -> Image.Image:
        picture = Image.new("L", size, 255)
        pen = ImageDraw.Draw(picture)
        width, height = size
        for step in range(3 + seed % 4):
            x = (37 * (seed + 1) * (step + 1)) % width
            y = (91 * (seed + 2) * (step + 1)) % height
            pen.line((x, height - 1 - y, width - 1 - x, y), fill=0, width=2)
        radius = 10 + seed % (min(size) // 3)
        pen.ellipse((width // 2 - radius, height // 2 - radius, width // 2 + radius, height // 2 + radius), outline=0)
        return picture

    return drawing


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """A test may set MODEL_ROOTS and the like."""
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
