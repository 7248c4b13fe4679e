"""What every encoder promises, whatever its model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from linework_vision import Encoder, load
from linework_vision.encoder import blank, unit_rows
from linework_vision.errors import NoTextTower, NotFinite

SPECS = [
    "hog",
    "lbp",
    "ahdh",
    "vishash",
    "sift-fv",
    "classic",
    "debug:32",
    "timm:test_resnet;pretrained=false;seed=0",
    "timm:test_vit;pretrained=false;seed=0",
]
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.fixture(scope="module", params=SPECS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return load(request.param)


def test_vectors_are_float32_of_the_promised_dimension_and_length_one(encoder, draw):
    vectors = encoder.encode_drawings([encoder.preprocess(draw(seed)) for seed in range(5)])
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, encoder.manifest.dimension)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_same_drawing_always_has_the_same_vector(encoder, draw):
    first, second = (encoder.encode_drawings([encoder.preprocess(draw(7))]) for _ in range(2))
    assert np.array_equal(first, second)


def test_loading_again_gives_the_same_encoder(encoder, draw):
    again = load(encoder.manifest.spec)
    assert again.manifest == encoder.manifest
    one, other = (each.encode_drawings([each.preprocess(draw(3))]) for each in (encoder, again))
    assert np.array_equal(one, other)


def test_a_vector_does_not_depend_on_its_batch(encoder, draw):
    pictures = [encoder.preprocess(draw(seed)) for seed in range(9)]
    together = encoder.encode_drawings(pictures)
    alone = np.concatenate([encoder.encode_drawings([picture]) for picture in pictures])
    assert together == pytest.approx(alone, abs=2e-5)


def test_different_drawings_have_different_vectors(encoder, draw):
    one, other = encoder.encode_drawings([encoder.preprocess(draw(seed)) for seed in (1, 2)])
    assert not np.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (512, 1), (3, 512), (512, 512), (64, 40)])
def test_any_size_of_derivative_is_taken(encoder, size):
    vectors = encoder.encode_drawings([encoder.preprocess(Image.new("L", size, 0))])
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)


def test_a_blank_drawing_has_a_unit_vector_too(encoder):
    vectors = encoder.encode_drawings([encoder.preprocess(Image.new("L", (300, 400), 255))])
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)


def test_no_drawings_give_no_rows(encoder):
    assert encoder.encode_drawings([]).shape == (0, encoder.manifest.dimension)


def test_texts_are_refused_where_there_is_no_text_tower(encoder):
    with pytest.raises(NoTextTower, match=encoder.manifest.id):
        encoder.encode_texts(["a lamp"])


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=finite))
def test_whatever_finite_features_come_unit_rows_go(features):
    rows = unit_rows(features)
    assert rows.shape == features.shape
    assert np.isfinite(rows).all()
    assert np.linalg.norm(rows.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_never_leaves(value):
    features = np.ones((3, 4), dtype=np.float32)
    features[1, 2] = value
    with pytest.raises(NotFinite) as raised:
        unit_rows(features)
    assert raised.value.rows == [1]


def test_a_row_without_features_is_like_nothing_that_has_some():
    rows = unit_rows(np.array([[0, 0, 0, 0], [1, 0, 2, 0]], dtype=np.float32))
    assert rows[0] == pytest.approx(blank(4))
    assert rows[0] @ rows[1] < 0
