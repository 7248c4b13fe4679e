"""timm models through timm's own loader."""

import numpy as np
import pytest
import safetensors.torch

from linework_vision import load
from linework_vision.torch_encoder import TorchEncoder

RANDOM = "timm:test_resnet;pretrained=false;seed=4"


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    loaded = load(RANDOM)
    assert isinstance(loaded, TorchEncoder)
    return loaded


def test_the_input_is_what_the_model_was_made_for(encoder, draw):
    assert encoder.preprocess(draw()).shape == (160, 160)
    assert encoder.preprocessing.mean == (0.5, 0.5, 0.5)
    assert encoder.preprocessing.interpolation == "bilinear"


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_another_input_size_is_another_encoder(model, draw):
    small, large = (load(f"timm:{model};pretrained=false;image_size={size}") for size in (96, 128))
    assert small.preprocess(draw()).shape == (96, 96)
    assert small.encode_drawings([small.preprocess(draw())]).shape == (1, small.manifest.dimension)
    assert small.manifest.content_hash != large.manifest.content_hash


def test_a_local_file_of_weights_is_the_same_encoder_as_where_they_came_from(encoder, draw, tmp_path):
    path = tmp_path / "weights.safetensors"
    state = {name: tensor.contiguous() for name, tensor in encoder.net.state_dict().items()}
    safetensors.torch.save_file(state, path)
    local = load(f"timm:test_resnet;weights={path}")
    assert local.manifest.content_hash == encoder.manifest.content_hash
    one, other = (each.encode_drawings([each.preprocess(draw(2))]) for each in (local, encoder))
    assert np.array_equal(one, other)


def test_one_changed_weight_is_another_encoder(encoder, tmp_path):
    path = tmp_path / "weights.safetensors"
    state = {name: tensor.clone().contiguous() for name, tensor in encoder.net.state_dict().items()}
    state["layer1.0.conv1.weight"].view(-1)[0] += 1e-3
    safetensors.torch.save_file(state, path)
    assert load(f"timm:test_resnet;weights={path}").manifest.content_hash != encoder.manifest.content_hash


def test_bfloat16_is_another_encoder_with_nearly_the_same_vectors(encoder, draw):
    half = load(RANDOM, precision="bf16")
    assert half.manifest.content_hash != encoder.manifest.content_hash
    pictures = [encoder.preprocess(draw(seed)) for seed in range(4)]
    cosines = (half.encode_drawings(pictures) * encoder.encode_drawings(pictures)).sum(axis=1)
    assert cosines == pytest.approx(1, abs=0.01)


def test_normalisation_is_timms_own(encoder, draw):
    """timm's transform, but for its crop, gives the model the same numbers."""
    import torch
    from timm.data import create_transform

    from linework_vision.torch_encoder import normalise

    square = draw(1, (160, 160)).convert("RGB")
    config = encoder.preprocessing
    theirs = create_transform((3, 160, 160), interpolation="bilinear", mean=config.mean, std=config.std, crop_pct=1.0)
    ours = normalise(torch.from_numpy(encoder.preprocess(square.convert("L")))[None], config)[0]
    assert torch.allclose(ours, theirs(square), atol=1e-6)
