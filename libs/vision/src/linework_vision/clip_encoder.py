"""Any CLIP-like model of open_clip, with its text tower: `open_clip:NAME/PRETRAINED`."""

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from linework_vision import torchvision_gap  # noqa: F401  # before open_clip
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec, WeightsUnavailable
from linework_vision.identity import make_manifest
from linework_vision.model_configs import ClipFile
from linework_vision.model_sources import HUB, LOCAL, allowed_path, check_hub, checked_copy, could_not_be_loaded
from linework_vision.pictures import Preprocessing
from linework_vision.registry import Precision
from linework_vision.spec import Spec
from linework_vision.torch_encoder import TorchEncoder, check_device, feature_dimension, weights_digest

import open_clip  # isort: skip

SCHEMES = (LOCAL, HUB)


class ImageTower(nn.Module):
    """The image side of a CLIP model as a plain module: normalised pictures to features."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.clip.encode_image(pictures)
        return features


def load_open_clip(spec: Spec, device: str, precision: Precision) -> Encoder:
    """Raises BadSpec, WeightsUnavailable. No options."""
    spec.allow(())
    check_device(device)
    name, pretrained = split_name(spec.name)
    clip, tokenizer = create_clip(name, pretrained)
    preprocessing = preprocessing_of(clip)
    net = ImageTower(clip)

    def texts(batch: list[str], on: torch.device) -> Tensor:
        features: Tensor = clip.encode_text(tokenizer(batch).to(on))
        return features

    manifest = make_manifest(
        name=_display_name(name, pretrained),
        spec=spec.text,
        dimension=feature_dimension(net, preprocessing),
        precision=precision,
        recipe={
            "library": "open_clip",
            "architecture": "local" if name.startswith(SCHEMES) else name,
            "context_length": int(tokenizer.context_length),
            "preprocessing": preprocessing.model_dump(mode="json"),
        },
        weights=weights_digest(clip),
        has_text=True,
    )
    return TorchEncoder(manifest, net, preprocessing, device=device, precision=precision, text_features=texts)


def split_name(name: str) -> tuple[str, str | None]:
    """Model and weights of `NAME/PRETRAINED`, where PRETRAINED is a tag or a path. Raises BadSpec, ModelNotAllowed."""
    if name.startswith(SCHEMES):
        return name, None
    model, _, pretrained = name.partition("/")
    if model not in open_clip.list_models():
        raise BadSpec(f"open_clip knows no model '{model}'.")
    if not pretrained:
        raise BadSpec(f"Name the weights too: open_clip:{model}/TAG or open_clip:{model}//path/to/file.")
    if "/" in pretrained:
        return model, str(allowed_path(pretrained))
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags:
        raise WeightsUnavailable(f"'{pretrained}' is none of {model}'s weights: {tags}.")
    check_hub("open_clip")
    return model, pretrained


def preprocessing_of(clip: Any) -> Preprocessing:
    """The model's own size, mean, standard deviation and interpolation; its way to crop or squash is not followed."""
    config = clip.visual.preprocess_cfg
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return Preprocessing(
        height=height, width=width, interpolation=config["interpolation"], mean=config["mean"], std=config["std"]
    )


def create_clip(name: str, pretrained: str | None) -> tuple[Any, Any]:
    """The model, on the CPU and in evaluation mode, and its tokenizer.

    Raises BadSpec, ModelNotAllowed, WeightsUnavailable.
    """
    try:
        if not name.startswith(SCHEMES):
            return _create(name, pretrained)
        with checked_copy(name, "open_clip_config.json", ClipFile) as folder:
            return _create(f"{LOCAL}{folder}", None)
    except Exception as error:  # open_clip, the hub's client and torch each raise their own
        example = "open_clip:NAME//path/to/file, or open_clip:local-dir:/folder"
        raise could_not_be_loaded(name, error, example) from error


def _create(name: str, pretrained: str | None) -> tuple[Any, Any]:
    text = open_clip.get_model_config(name)["text_cfg"]
    by_transformers = bool(text.get("hf_tokenizer_name") or text.get("hf_model_name"))
    if not name.startswith(SCHEMES) and (by_transformers or "siglip" in name.lower()):
        check_hub("open_clip")  # these fetch their tokenizers
    clip = open_clip.create_model(name, pretrained=pretrained, device="cpu", require_pretrained=True, weights_only=True)
    forced: dict[str, Any] = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
    return clip.eval(), open_clip.get_tokenizer(name, **forced)


def _display_name(name: str, pretrained: str | None) -> str:
    for scheme in SCHEMES:
        with contextlib.suppress(ValueError):
            if name.startswith(scheme):
                return f"open_clip {Path(name.removeprefix(scheme)).name}"
    weights = Path(pretrained).stem if pretrained and "/" in pretrained else pretrained
    return f"open_clip {name} {weights}"
