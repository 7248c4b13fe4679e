"""Checkpoints: written, read, and refused when they are not what they say."""

import json

import numpy as np
import pytest
import torch

from linework_vision import load
from linework_vision.checkpoint import CheckpointConfig, DrawingNet, save_checkpoint
from linework_vision.errors import BadSpec, WeightsUnavailable
from linework_vision.pictures import Preprocessing
from linework_vision.torch_encoder import normalise

SIZE = Preprocessing(height=64, width=64, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def config(**changed) -> CheckpointConfig:
    values = {"name": "Tiny", "backbone": "test_resnet", "projection": 16, "preprocessing": SIZE}
    return CheckpointConfig(**values | changed)


@pytest.fixture
def written(tmp_path):
    """Writes a checkpoint with some random weights; gives its folder and the net."""

    def write(folder: str = "one", seed: int = 0, **changed):
        torch.manual_seed(seed)
        net = DrawingNet(config(**changed)).eval()
        save_checkpoint(tmp_path / folder, net, config(**changed))
        return tmp_path / folder, net

    return write


@pytest.mark.parametrize(
    ("changed", "dimension"),
    [({}, 16), ({"projection": None}, 96), ({"pooling": "gem"}, 16), ({"backbone": "test_vit"}, 16)],
)
def test_what_is_read_encodes_as_what_was_written(written, draw, changed, dimension):
    folder, net = written(**changed)
    encoder = load(str(folder))
    assert encoder.manifest.dimension == dimension == net.dimension
    picture = encoder.preprocess(draw())
    with torch.inference_mode():
        features = net(normalise(torch.from_numpy(picture)[None], SIZE)).numpy()
    expected = features / np.linalg.norm(features)
    assert encoder.encode_drawings([picture]) == pytest.approx(expected, abs=1e-5)


def test_the_prefix_may_be_written_or_left_out(written):
    folder, _ = written()
    assert load(f"checkpoint:{folder}").manifest == load(str(folder)).manifest


def test_name_folder_and_training_do_not_change_the_identity(written):
    one, _ = written("one")
    other, _ = written("other", name="Another", training={"seed": 1})
    assert load(str(one)).manifest.content_hash == load(str(other)).manifest.content_hash
    assert load(str(other)).manifest.id.startswith("another-")


def test_other_weights_are_another_encoder(written):
    one, _ = written("one", seed=0)
    other, _ = written("other", seed=1)
    assert load(str(one)).manifest.content_hash != load(str(other)).manifest.content_hash


def test_a_checkpoint_is_never_overwritten(written):
    folder, net = written()
    with pytest.raises(FileExistsError):
        save_checkpoint(folder, net, config())


def test_nothing_is_left_behind_when_writing_fails(tmp_path):
    class Broken(DrawingNet):
        def state_dict(self, *args, **kwargs):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path / "new", Broken(config()), config())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changed", [{"format": 2}, {"surprise": 1}, {"pooling": "max"}, {"backbone": "no_such"}])
def test_a_description_that_is_not_understood_is_refused(written, changed):
    folder, _ = written()
    described = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(BadSpec):
        load(str(folder))


def test_weights_of_another_model_are_refused(written):
    folder, _ = written()
    other, _ = written("other", projection=8)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(WeightsUnavailable, match="size mismatch"):
        load(str(folder))


def test_damaged_weights_are_refused(written):
    folder, _ = written()
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(WeightsUnavailable):
        load(str(folder))
