"""How drawings become inputs: whole, on white."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from linework_vision import load
from linework_vision.pictures import Preprocessing, crop_to_ink, fit_on_white

sides = st.integers(1, 512)


def framed(width: int, height: int) -> Image.Image:
    """A drawing whose only ink is its outermost pixels."""
    picture = Image.new("L", (width, height), 255)
    for box in ((0, 0, width, 4), (0, height - 4, width, height), (0, 0, 4, height), (width - 4, 0, width, height)):
        picture.paste(0, box)
    return picture


@given(sides, sides, st.sampled_from([(224, 224), (64, 96)]))
def test_a_drawing_is_fitted_whole_and_in_the_middle(width, height, size):
    black = Image.new("L", (width, height), 0)
    fitted = fit_on_white(black, *size, Image.Resampling.BICUBIC)
    assert fitted.size == size
    ink = np.asarray(fitted) < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert rows[0] == size[1] - 1 - rows[-1]
    assert columns[0] == size[0] - 1 - columns[-1]
    assert len(rows) == size[1] or len(columns) == size[0]  # as large as it can be


def test_ink_on_the_very_border_reaches_the_model():
    encoder = load("timm:resnet18;pretrained=false")  # its own configuration would crop an eighth off
    picture = encoder.preprocess(framed(512, 512))
    assert picture.shape == (224, 224)
    for border in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (border < 128).all()


def test_the_proportions_are_kept():
    fitted = fit_on_white(Image.new("L", (400, 100), 0), 200, 200, Image.Resampling.BICUBIC)
    assert crop_to_ink(fitted).size == (200, 50)


def test_a_margin_stays_white():
    fitted = fit_on_white(Image.new("L", (80, 80), 0), 100, 100, Image.Resampling.LANCZOS, margin=0.1)
    assert crop_to_ink(fitted).size == (80, 80)


def test_a_blank_drawing_has_nothing_to_crop_to():
    assert crop_to_ink(Image.new("L", (30, 40), 255)).size == (30, 40)


@given(st.integers(0, 150), st.integers(0, 150), st.integers(20, 100))
def test_empty_paper_around_the_ink_changes_nothing_where_it_is_cut_off(left, top, side):
    shown = Preprocessing(
        height=64, width=64, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3, fit="ink-on-white"
    )
    drawing = framed(side, side)
    sheet = Image.new("L", (300, 280), 255)
    sheet.paste(drawing, (left, top))
    assert np.array_equal(shown.apply(sheet), shown.apply(drawing))
