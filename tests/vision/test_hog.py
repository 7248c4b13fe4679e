"""The default encoder: what its vector depends on, and what it does not."""

import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from linework_vision import load
from linework_vision.encoder import Encoder
from linework_vision.hog import HogParameters, make_hog


@pytest.fixture(scope="module")
def hog() -> Encoder:
    return load("hog")


def vector(encoder: Encoder, drawing: Image.Image) -> np.ndarray:
    return encoder.encode_drawings([encoder.preprocess(drawing)])[0]


def test_the_dimension_is_orientations_times_cells(hog):
    assert hog.manifest.dimension == 8 * (96 // 12) ** 2
    assert make_hog(HogParameters(cell=24, orientations=9)).manifest.dimension == 9 * 16


def test_where_the_drawing_stands_on_its_page_does_not_matter(hog, draw):
    drawing = draw(3)
    page = Image.new("L", (500, 512), 255)
    page.paste(drawing.crop((40, 100, 260, 400)), (30, 20))
    other = Image.new("L", (480, 500), 255)
    other.paste(drawing.crop((40, 100, 260, 400)), (200, 150))
    assert vector(hog, page) @ vector(hog, other) == pytest.approx(1, abs=1e-5)


def test_a_mirror_image_is_the_same_drawing(hog, draw):
    drawing = draw(5)
    for mirrored in (ImageOps.mirror(drawing), ImageOps.flip(drawing)):
        assert vector(hog, drawing) @ vector(hog, mirrored) == pytest.approx(1, abs=1e-5)


def test_a_blank_drawing_is_unlike_every_other(hog, draw):
    blank = vector(hog, Image.new("L", (200, 300), 255))
    assert all(blank @ vector(hog, draw(seed)) < 0 for seed in range(4))


def test_the_vector_of_a_known_drawing_stays_what_it_is(hog):
    """If this fails after an update of scikit-image or Pillow, the same encoder gives other vectors: raise
    HogParameters.version, so that it becomes another encoder."""
    drawing = Image.new("L", (200, 100), 255)
    drawing.paste(0, (20, 30, 180, 34))
    drawing.paste(0, (20, 30, 24, 90))
    for x in range(100):
        drawing.paste(0, (30 + x, 35 + x // 2, 33 + x, 38 + x // 2))
    cells = vector(hog, drawing).reshape(8, 8, 8)  # row, column, orientation
    by_orientation, by_row = cells.sum(axis=(0, 1)), cells.sum(axis=(1, 2))
    assert by_orientation == pytest.approx([1.470, 0.461, 1.436, 0.843, 3.570, 1.371, 0.524, 0.524], abs=0.01)
    assert by_row == pytest.approx([0, 0, 2.605, 2.494, 2.494, 2.605, 0, 0], abs=0.01)


def test_a_core_describes_at_least_100_drawings_a_second(hog, draw):
    drawings = [draw(seed, (512, 400)) for seed in range(60)]
    start = time.process_time()
    for drawing in drawings:
        hog.preprocess(drawing)
    assert len(drawings) / (time.process_time() - start) > 100
