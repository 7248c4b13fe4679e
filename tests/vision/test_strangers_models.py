"""What a stranger's model may bring: numbers and known keys; no code, and no look at what lies on this machine."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from linework_core.settings import get_settings
from linework_vision import load
from linework_vision import torchvision_gap as _gap  # noqa: F401  # before open_clip
from linework_vision.checkpoint import CONFIG, CheckpointConfig, DrawingNet, save_checkpoint
from linework_vision.errors import BadSpec, ModelNotAllowed, WeightsUnavailable
from linework_vision.pictures import Preprocessing
from linework_vision.text_tower import load_text_tower

import open_clip  # isort: skip

MODEL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic", "size": 32}
EVIL = """
from pathlib import Path
from transformers import PreTrainedTokenizer
Path(__MARKER__).write_text("ran")
class EvilTokenizer(PreTrainedTokenizer): pass
"""
Allow = Callable[..., None]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Allow:
    """The operator's settings: what may be loaded from where."""

    def set_(*roots: Path, hubs: tuple[str, ...] = ()) -> None:
        monkeypatch.setenv("MODEL_ROOTS", json.dumps([str(root) for root in roots]))
        monkeypatch.setenv("MODEL_HUBS", json.dumps(hubs))
        get_settings.cache_clear()

    return set_


def write_clip(folder: Path, **text: object) -> Path:
    """A tiny CLIP model as a hub's repository holds it, with other members in its `text_cfg`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL | {"text_cfg": MODEL["text_cfg"] | text}, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    clip = open_clip.CLIP(MODEL["embed_dim"], MODEL["vision_cfg"], MODEL["text_cfg"])
    weights = {name: tensor.contiguous() for name, tensor in clip.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that a model's code writes, if it runs."""
    return tmp_path / "the-code-ran"


@pytest.fixture
def evil(tmp_path: Path, marker: Path) -> Path:
    """A model whose tokenizer is Python of its own."""
    return write_evil(tmp_path / "evil", marker, tokenizer_kwargs={"trust_remote_code": True})


def write_evil(folder: Path, marker: Path, **text: object) -> Path:
    write_clip(folder, hf_tokenizer_name="evil", **text)
    auto_map = {"AutoTokenizer": ["evil.EvilTokenizer", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": auto_map}))
    (folder / "evil.py").write_text(EVIL.replace("__MARKER__", repr(str(marker))))
    return folder


def write_checkpoint(folder: Path, **changed: object) -> Path:
    """A checkpoint, with other members in its description."""
    size = Preprocessing(height=32, width=32, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    config = CheckpointConfig(name="Tiny", backbone="test_resnet", projection=24, preprocessing=size)
    save_checkpoint(folder, DrawingNet(config), config)
    (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | changed))
    return folder


def as_hub_cache(home: Path, repository: str, folder: Path) -> None:
    """Let the hub's cache under `home` hold the folder as the newest version of a repository."""
    commit, place = "a" * 40, home / "hub" / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots").mkdir()
    folder.rename(place / "snapshots" / commit)


# ---- code


def test_the_code_of_a_folder_does_not_run(evil: Path, marker: Path, allow: Allow) -> None:
    allow(evil.parent)
    with pytest.raises(BadSpec, match=r"text_cfg\.tokenizer_kwargs\.trust_remote_code"):
        load(f"open_clip:local-dir:{evil}")
    assert not marker.exists()


def test_the_code_of_a_recipes_text_tower_does_not_run(evil: Path, marker: Path, allow: Allow) -> None:
    allow(evil.parent)
    with pytest.raises(BadSpec, match="trust_remote_code"):
        load_text_tower(f"open_clip:local-dir:{evil}")
    assert not marker.exists()


def test_the_code_of_a_checkpoints_text_tower_does_not_run(evil: Path, marker: Path, allow: Allow) -> None:
    allow(evil.parent)
    tower = {"name": f"open_clip:local-dir:{evil}", "hash": "0" * 64, "dimension": 24}
    folder = write_checkpoint(evil.parent / "checkpoint", text_tower=tower)
    with pytest.raises(BadSpec, match="trust_remote_code"):
        load(str(folder))
    assert not marker.exists()


def test_a_tokenizers_code_does_not_run_without_being_asked_for_either(
    tmp_path: Path, marker: Path, allow: Allow
) -> None:
    allow(tmp_path)
    folder = write_evil(tmp_path / "quiet", marker)
    with pytest.raises(WeightsUnavailable):
        load(f"open_clip:local-dir:{folder}")
    assert not marker.exists()


def test_the_code_of_a_hubs_repository_does_not_run(evil: Path, marker: Path, tmp_path: Path) -> None:
    as_hub_cache(tmp_path / "home", "stranger/evil", evil)
    done = load_in_another_process("open_clip:hf-hub:stranger/evil", tmp_path / "home", hubs=("hf-hub",))
    assert "trust_remote_code" in done.stdout
    assert not marker.exists()


def test_a_hubs_repository_is_loaded_where_the_operator_allows_it(tmp_path: Path) -> None:
    as_hub_cache(tmp_path / "home", "stranger/good", write_clip(tmp_path / "good"))
    allowed = load_in_another_process("open_clip:hf-hub:stranger/good", tmp_path / "home", hubs=("hf-hub",))
    assert "open_clip good" in allowed.stdout, allowed.stderr
    refused = load_in_another_process("open_clip:hf-hub:stranger/good", tmp_path / "home", hubs=())
    assert "ModelNotAllowed" in refused.stdout


def load_in_another_process(spec: str, home: Path, *, hubs: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The hub's client reads its settings when it is imported. Prints the encoder's name, or the error."""
    code = (
        "import sys\nfrom linework_vision import load\n"
        "try: print(load(sys.argv[1]).manifest.name)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "PATH": "", "MODEL_HUBS": json.dumps(hubs)}
    return subprocess.run(
        [sys.executable, "-c", code, spec], env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    "text",
    [{"hf_model_name": "stranger/evil"}, {"tokenizer_kwargs": {"cache_dir": "/"}}, {"surprise": 1}, {"layers": 10**9}],
)
def test_a_description_has_known_members_with_bounds(text: dict[str, object], tmp_path: Path, allow: Allow) -> None:
    allow(tmp_path)
    with pytest.raises(BadSpec, match="text_cfg"):
        load(f"open_clip:local-dir:{write_clip(tmp_path / 'odd', **text)}")


def test_a_timm_models_description_has_known_members(tmp_path: Path, allow: Allow) -> None:
    allow(tmp_path)
    folder = tmp_path / "timm"
    folder.mkdir()
    config = {"architecture": "test_resnet", "pretrained_cfg": {"custom_load": "hf", "file": "/etc/hostname"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadSpec, match="pretrained_cfg"):
        load(f"timm:local-dir:{folder}")
    with pytest.raises(BadSpec, match="pretrained_cfg"):
        load(str(write_checkpoint(tmp_path / "checkpoint", backbone=f"local-dir:{folder}")))


def test_pickled_code_in_weights_does_not_run(tmp_path: Path, marker: Path, allow: Allow) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.write_text, (marker, "ran")

    allow(tmp_path)
    folder = write_clip(tmp_path / "pickled")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Evil()}, folder / "open_clip_pytorch_model.bin")
    for spec in (f"open_clip:local-dir:{folder}", f"timm:test_resnet;weights={folder}/open_clip_pytorch_model.bin"):
        with pytest.raises(WeightsUnavailable):
            load(spec)
    assert not marker.exists()


# ---- places


PLACES = ["open_clip:local-dir:{}", "timm:test_resnet;weights={}", "timm:local-dir:{}", "checkpoint:{}", "{}",
          "open_clip:ViT-B-32/{}"]  # fmt: skip


@pytest.mark.parametrize("spec", PLACES)
def test_by_default_nothing_is_loaded_from_a_folder(spec: str, tmp_path: Path, allow: Allow) -> None:
    allow()
    with pytest.raises(ModelNotAllowed):
        load(spec.format(write_clip(tmp_path / "good")))


@pytest.mark.parametrize("spec", PLACES)
def test_an_answer_does_not_tell_which_files_there_are(spec: str, tmp_path: Path, allow: Allow) -> None:
    """A missing path, one outside the roots, and a link out of them are answered alike."""
    root = tmp_path / "models"
    (root / "inside").mkdir(parents=True)
    outside = write_clip(tmp_path / "outside")
    (root / "link").symlink_to(outside)
    allow(root)
    answers = set()
    escape = root / ".." / "outside"
    for path in (outside, tmp_path / "missing", root / "missing", root / "link", escape, "/etc/shadow"):
        with pytest.raises(ModelNotAllowed) as refused:
            load(spec.format(path))
        answers.add(refused.value.detail.replace(str(path), "PATH"))
    assert len(answers) == 1


def test_a_file_that_a_model_links_to_lies_under_a_root_too(tmp_path: Path, allow: Allow) -> None:
    folder, outside = write_clip(tmp_path / "models" / "one"), tmp_path / "elsewhere.safetensors"
    (folder / "open_clip_model.safetensors").rename(outside)
    (folder / "open_clip_model.safetensors").symlink_to(outside)
    allow(tmp_path / "models")
    with pytest.raises(ModelNotAllowed):
        load(f"open_clip:local-dir:{folder}")


def test_a_file_that_a_checkpoint_links_to_lies_under_a_root_too(tmp_path: Path, allow: Allow) -> None:
    folder, outside = tmp_path / "models" / "one", tmp_path / "config.json"
    folder.mkdir(parents=True)
    outside.write_text("{}")
    (folder / "config.json").symlink_to(outside)
    allow(tmp_path / "models")
    with pytest.raises(ModelNotAllowed):
        load(f"checkpoint:{folder}")


@pytest.mark.parametrize(
    ("spec", "hub"),
    [
        ("timm:test_resnet", "timm"), ("timm:hf-hub:org/name", "hf-hub"), ("timm:hf_hub:org/name", "hf-hub"),
        ("timm:HF-HUB:org/name", "hf-hub"), ("open_clip:ViT-B-32/laion2b_s34b_b79k", "open_clip"),
        ("open_clip:hf-hub:org/name", "hf-hub"),
    ],
)  # fmt: skip
def test_by_default_no_hub_is_asked(spec: str, hub: str, allow: Allow) -> None:
    allow()
    with pytest.raises(ModelNotAllowed, match=f"MODEL_HUBS.*'{hub}'"):
        load(spec)


def test_the_debug_encoder_is_for_tests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("debug:8").manifest.dimension == 8
    monkeypatch.setenv("DEBUG_ENCODERS", "false")
    get_settings.cache_clear()
    with pytest.raises(BadSpec, match="names no encoder"):
        load("debug:8")


# ---- sizes


@pytest.mark.parametrize(
    "spec",
    ["timm:test_resnet;pretrained=false;image_size=3000", "timm:test_resnet;pretrained=false;image_size=1",
     "timm:test_resnet;pretrained=false;image_size=٣٢", "timm:test_resnet;pretrained=false;seed=99999999999999999999",
     "debug:8;delay_ms=999999999", f"timm:test_resnet;pretrained=false;seed={'9' * 5000}"],
)  # fmt: skip
def test_numbers_in_a_spec_have_bounds(spec: str) -> None:
    with pytest.raises(BadSpec, match=r"is a whole number from \d+ to \d+"):
        load(spec)


def test_the_input_of_a_checkpoint_has_bounds(tmp_path: Path, allow: Allow) -> None:
    allow(tmp_path)
    size = {"height": 30_000, "width": 30_000, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    with pytest.raises(BadSpec):
        load(str(write_checkpoint(tmp_path / "huge", preprocessing=size)))
