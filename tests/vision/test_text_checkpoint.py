"""Checkpoints with heads and text towers: drawings and texts in one space."""

import json

import numpy as np
import pytest
import torch

from linework_vision import load
from linework_vision.card import ModelCard
from linework_vision.checkpoint import CheckpointConfig, DrawingNet, save_checkpoint
from linework_vision.errors import BadSpec, NoTextTower, WeightsUnavailable
from linework_vision.pictures import Preprocessing
from linework_vision.text_tower import TextTower, load_text_tower

SIZE = Preprocessing(height=64, width=64, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TEXTS = ["a desk lamp", "a chair with arms"]


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return load_text_tower("minilm")


@pytest.fixture
def written(tmp_path, tower):
    """Writes a checkpoint with some random weights; gives its folder and the net."""

    def write(folder: str = "one", card: ModelCard | None = None, **changed):
        values = {"name": "Tiny", "backbone": "test_resnet", "projection": 384, "preprocessing": SIZE}
        config = CheckpointConfig(**values | {"text_tower": tower.ref} | changed)
        torch.manual_seed(0)
        net = DrawingNet(config).eval()
        save_checkpoint(tmp_path / folder, net, config, card)
        return tmp_path / folder, net

    return write


@pytest.mark.parametrize("head", ["linear", "mlp", "whitening"])
def test_texts_have_the_towers_own_vectors_and_drawings_are_brought_to_them(written, tower, draw, head):
    encoder = load(str(written(head=head)[0]))
    assert encoder.manifest.has_text
    assert encoder.encode_texts(TEXTS) == pytest.approx(tower.encode(TEXTS), abs=1e-6)
    assert encoder.encode_drawings([encoder.preprocess(draw())]).shape == (1, 384)


def test_a_text_head_brings_both_into_a_space_of_its_own(written, tower):
    folder, net = written(projection=32, text_head="mlp")
    with torch.inference_mode():
        features = net.project_texts(torch.from_numpy(tower.encode(TEXTS))).numpy()
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert load(str(folder)).encode_texts(TEXTS) == pytest.approx(expected, abs=1e-6)


def test_half_precision_leaves_the_texts_as_they_were_in_training(written, tower):
    folder, _ = written()
    assert load(str(folder), precision="bf16").encode_texts(TEXTS) == pytest.approx(tower.encode(TEXTS), abs=1e-6)


def test_dimensions_that_do_not_meet_are_refused(written):
    with pytest.raises(BadSpec, match="set 'projection' to 384"):
        written(projection=32)
    with pytest.raises(BadSpec, match="set 'projection' to 384"):
        written(projection=None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"head": "mlp", "projection": None}, "needs 'projection'"),
        ({"text_head": "linear", "text_tower": None}, "needs a text tower"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(written, changed, reason):
    with pytest.raises(ValueError, match=reason):
        written(**changed)


def test_whitening_looks_at_directions_and_not_at_lengths(written):
    _, net = written(head="whitening", text_tower=None)
    features = torch.rand(3, 96)
    assert torch.allclose(net.projection(features), net.projection(7 * features), atol=1e-6)
    assert net.projection(features).shape == (3, 384)


def test_the_head_and_the_tower_are_part_of_the_identity_but_not_where_the_tower_was_found(written):
    def hash_of(folder: str, **changed) -> str:
        return load(str(written(folder, **changed)[0])).manifest.content_hash

    plain, spoken = hash_of("plain", text_tower=None), hash_of("spoken")
    assert len({plain, spoken, hash_of("headed", text_head="linear")}) == 3
    tower_elsewhere = CheckpointConfig.model_validate_json((written("again")[0] / "config.json").read_bytes())
    assert tower_elsewhere.text_tower is not None
    moved = tower_elsewhere.model_copy(
        update={"text_tower": tower_elsewhere.text_tower.model_copy(update={"name": "open_clip:local-dir:/elsewhere"})}
    )
    assert moved.recipe() == tower_elsewhere.recipe()


def test_a_checkpoint_written_before_there_were_heads_and_towers_keeps_its_identity(written):
    folder, _ = written(text_tower=None)
    described = json.loads((folder / "config.json").read_text())
    expected = load(str(folder)).manifest
    for later in ("head", "text_tower", "text_head"):
        del described[later]
    (folder / "config.json").write_text(json.dumps(described))
    encoder = load(str(folder))
    assert encoder.manifest == expected
    assert set(encoder.manifest.detail["recipe"]) == {
        "library", "format", "backbone", "pooling", "projection", "preprocessing"
    }  # fmt: skip
    with pytest.raises(NoTextTower):
        encoder.encode_texts(TEXTS)


def test_a_checkpoint_whose_tower_has_changed_is_refused(written):
    folder, _ = written()
    described = json.loads((folder / "config.json").read_text())
    described["text_tower"]["hash"] = "0" * 64
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(WeightsUnavailable, match="not the one that is wanted"):
        load(str(folder))


def test_the_model_card_tells_where_the_weights_come_from(written):
    card = ModelCard(
        recipe="lo2024-resnet50 (epochs=2)", data="the sample office's drawings", snapshot=412, before="2019-05-01",
        seed=7, commit="abc1234", metrics={"mAP": 0.25, "hit@10": 0.5}, attributions=("A | B, CC BY 2.0",),
    )  # fmt: skip
    text = (written(card=card)[0] / "card.md").read_text()
    assert text.startswith("# Tiny\n")
    for part in (
        "| Recipe | lo2024-resnet50 (epochs=2) |", "| Corpus snapshot | 412 |", "| Trained before | 2019-05-01 |",
        "| Seed | 7 |", "| Commit | abc1234 |", "| Licence | Apache-2.0 |", "| mAP | 0.2500 |", "- A | B, CC BY",
        "| Text tower | minilm (frozen, ", "64 x 64 px", "384 dimensions",
    ):  # fmt: skip
        assert part in text, part


def test_without_a_card_none_is_written(written):
    assert sorted(path.name for path in written()[0].iterdir()) == ["config.json", "model.safetensors"]
