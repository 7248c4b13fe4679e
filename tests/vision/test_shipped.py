"""The network that comes with Linework."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from linework_core.imaging import to_derivative
from linework_office import draw, plan, tiff
from linework_vision import load
from linework_vision.errors import BadSpec
from linework_vision.registry import SHIPPED

MINI = SHIPPED / "linework-mini"


@pytest.fixture(scope="module")
def designs():
    """Derivatives of designs on which nothing was trained, and to which design each belongs."""
    drawings, owners = [], []
    for design in plan(designs=12, seed=977):
        for sheet in draw(design, size=0.3)[1:]:
            drawings.append(to_derivative(Image.open(io.BytesIO(tiff(sheet)))))
            owners.append(design.name)
    return drawings, np.array(owners)


def mean_average_precision(spec, drawings, owners):
    encoder = load(spec)
    vectors = encoder.encode_drawings([encoder.preprocess(drawing) for drawing in drawings])
    found = []
    for query, row in enumerate(vectors @ vectors.T):
        others = np.arange(len(owners)) != query
        relevant = (owners == owners[query])[others]
        if relevant.any():
            found.append(average_precision_score(relevant, row[others]))
    return np.mean(found)


def test_it_finds_other_views_of_designs_it_never_saw_better_than_hog_does(designs):
    mine, hog = (mean_average_precision(spec, *designs) for spec in ("linework-mini", "hog"))
    assert mine > hog


def test_words_and_drawings_share_its_space():
    encoder = load("linework-mini")
    assert encoder.manifest.has_text
    assert encoder.encode_texts(["a desk lamp"]).shape == (1, encoder.manifest.dimension)


def test_it_is_small_and_its_card_names_the_licence_and_whose_drawings_it_was_trained_on():
    assert sum(file.stat().st_size for file in MINI.iterdir()) < 20e6
    card = (MINI / "card.md").read_text()
    assert "Apache-2.0" in card
    assert "CC BY 2.0" in card


def test_it_stays_the_encoder_that_indexes_were_filled_with():
    assert load("linework-mini").manifest.id == "linework-mini-ddff5106c32f"


def test_it_has_one_form():
    with pytest.raises(BadSpec):
        load("linework-mini:large")
