"""A network and classic descriptors as one encoder."""

import numpy as np
import pytest
import torch

from linework_vision import load
from linework_vision.checkpoint import CheckpointConfig, DrawingNet, save_checkpoint
from linework_vision.errors import BadSpec
from linework_vision.pictures import Preprocessing
from linework_vision.text_tower import load_text_tower

SIZE = Preprocessing(height=64, width=48, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3, fit="ink-on-white")
SPREADS = {"net": 0.1, "hog": 0.2, "lbp": 0.025}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Writes a checkpoint with these spreads; gives its folder."""

    def write(beside):
        config = CheckpointConfig(
            name="Tiny", backbone="test_resnet", projection=384, preprocessing=SIZE,
            text_tower=load_text_tower("minilm").ref, beside=beside,
        )  # fmt: skip
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("checkpoints") / "one"
        save_checkpoint(folder, DrawingNet(config).eval(), config)
        return str(folder)

    return write


def of_drawings(spec, drawings):
    encoder = load(spec)
    return encoder.encode_drawings([encoder.preprocess(drawing) for drawing in drawings])


def test_its_similarity_is_the_mean_of_its_parts_weighted_by_one_over_their_spreads(written, draw):
    drawings = [draw(seed) for seed in range(6)]
    joined = of_drawings(written(SPREADS), drawings)
    parts = {"net": written({}), "hog": "hog", "lbp": "lbp"}
    expected = 0
    for name, spec in parts.items():
        vectors = of_drawings(spec, drawings)
        expected = expected + vectors @ vectors.T / SPREADS[name]
    expected = expected / sum(1 / spread for spread in SPREADS.values())
    assert joined @ joined.T == pytest.approx(expected, abs=1e-5)


def test_a_text_is_compared_with_what_the_network_sees(written, draw):
    drawings, texts = [draw(seed) for seed in range(6)], ["a desk lamp", "a chair"]
    joined, alone = written(SPREADS), written({})
    share = (1 / SPREADS["net"]) / sum(1 / spread for spread in SPREADS.values())
    found = load(joined).encode_texts(texts) @ of_drawings(joined, drawings).T
    expected = load(alone).encode_texts(texts) @ of_drawings(alone, drawings).T
    assert np.linalg.norm(load(joined).encode_texts(texts), axis=1) == pytest.approx(1, abs=1e-6)
    assert found == pytest.approx(np.sqrt(share) * expected, abs=1e-5)


def test_what_stands_beside_the_network_is_part_of_who_it_is(written):
    ids = [load(written(beside)).manifest.id for beside in ({}, SPREADS, SPREADS | {"hog": 0.3}, {"net": 1, "lbp": 1})]
    assert len(set(ids)) == 4


def test_a_descriptor_that_is_not_known_is_refused(written):
    with pytest.raises(BadSpec, match="'sift' is no descriptor"):
        load(written({"net": 1.0, "sift": 1.0}))


def test_spreads_without_that_of_the_network_are_refused():
    with pytest.raises(ValueError, match="that of the network"):
        CheckpointConfig(name="x", backbone="test_resnet", preprocessing=SIZE, beside={"hog": 0.2})
