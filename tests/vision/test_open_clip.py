"""open_clip models through open_clip's own loader: a tiny one, its weights written here."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch

from linework_vision import load
from linework_vision.errors import WeightsUnavailable

MODEL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic", "size": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a hub's repository of an open_clip model holds."""
    path = tmp_path_factory.mktemp("tiny-clip")
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}))
    torch.manual_seed(0)
    clip = open_clip.create_model(f"local-dir:{path}", load_weights=False)
    state = {name: tensor.contiguous() for name, tensor in clip.state_dict().items()}
    safetensors.torch.save_file(state, path / "open_clip_model.safetensors")
    return path


@pytest.fixture(scope="module")
def named_model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same architecture under a name that open_clip knows."""
    path = tmp_path_factory.mktemp("configs") / "Tiny-Test.json"
    path.write_text(json.dumps(MODEL))
    open_clip.add_model_config(path)
    return "Tiny-Test"


def test_drawings_and_texts_share_a_space(folder, draw):
    encoder = load(f"open_clip:local-dir:{folder}")
    assert encoder.manifest.has_text
    drawings = encoder.encode_drawings([encoder.preprocess(draw(seed)) for seed in range(3)])
    texts = encoder.encode_texts(["a desk lamp", "a chair"])
    assert drawings.shape == (3, 24)
    assert texts.shape == (2, 24)
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    assert encoder.encode_texts([]).shape == (0, 24)


def test_the_towers_are_open_clips_own(folder, draw):
    encoder = load(f"open_clip:local-dir:{folder}")
    clip = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a desk lamp"])
        expected = clip.encode_text(tokens, normalize=True).numpy()
    assert encoder.encode_texts(["a desk lamp"]) == pytest.approx(expected, abs=1e-5)


def test_preprocessing_is_read_from_the_models_own_configuration(folder, draw):
    encoder = load(f"open_clip:local-dir:{folder}")
    assert encoder.preprocess(draw()).shape == (32, 32)
    assert encoder.manifest.detail["recipe"]["preprocessing"]["std"] == [0.25, 0.25, 0.25]


def test_weights_are_loaded_by_path(folder, named_model, draw):
    path = folder / "open_clip_model.safetensors"
    encoder = load(f"open_clip:{named_model}/{path}")
    assert encoder.manifest.name == "open_clip Tiny-Test open_clip_model"
    assert encoder.encode_drawings([encoder.preprocess(draw())]).shape == (1, 24)
    same = load(f"open_clip:local-dir:{folder}")
    assert encoder.manifest.detail["weights"] == same.manifest.detail["weights"]


def test_a_folder_without_weights_is_refused(folder, tmp_path):
    (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    with pytest.raises(WeightsUnavailable, match="could not be loaded"):
        load(f"open_clip:local-dir:{tmp_path}")
