"""Any image model of timm, its pooled features as the vector: `timm:NAME[;options]`."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from linework_vision import sketch_a_net, torchvision_gap  # noqa: F401  # a model more; before timm
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec, WeightsUnavailable
from linework_vision.identity import make_manifest
from linework_vision.pictures import Preprocessing
from linework_vision.registry import Precision
from linework_vision.spec import Spec
from linework_vision.torch_encoder import TorchEncoder, check_device, feature_dimension, weights_digest

import timm  # isort: skip
from timm.data.config import resolve_data_config  # isort: skip

OPTIONS = ("image_size", "pretrained", "seed", "weights")


def load_timm(spec: Spec, device: str, precision: Precision) -> Encoder:
    """Options: `weights=/file` loads a local file instead of the hub's; `pretrained=false;seed=N` gives random
    weights (tests, and untrained baselines); `image_size=N`. Raises BadSpec, WeightsUnavailable.
    """
    spec.allow(OPTIONS)
    check_device(device)
    net = _create(spec)
    preprocessing = preprocessing_of(net, spec.integer("image_size"))
    manifest = make_manifest(
        name=_name(spec),
        spec=spec.text,
        dimension=feature_dimension(net, preprocessing),
        precision=precision,
        recipe={
            "library": "timm",
            "architecture": spec.name.rpartition("/")[2].partition(".")[0],
            "preprocessing": preprocessing.model_dump(mode="json"),
        },
        weights=weights_digest(net),
    )
    return TorchEncoder(manifest, net, preprocessing, device=device, precision=precision)


def preprocessing_of(net: nn.Module, image_size: int | None = None) -> Preprocessing:
    """What the model's own configuration asks for, but for its crop (see pictures.fit_on_white)."""
    config = resolve_data_config({"img_size": image_size} if image_size else {}, model=net)
    _, height, width = config["input_size"]
    return Preprocessing(
        height=height,
        width=width,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    )


def create_backbone(name: str, *, pretrained: bool = False, image_size: int | None = None, **more: Any) -> nn.Module:
    """A timm model without its classifier. Raises BadSpec if timm knows no such model."""
    if not name.startswith(("hf-hub:", "hf_hub:", "local-dir:")) and not timm.is_model(name):
        raise BadSpec(f"timm knows no model '{name}'.")
    config = None if ":" in name else timm.get_pretrained_cfg(name)
    if image_size and config is not None and config.fixed_input_size:
        more["img_size"] = image_size
    net: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **more)
    return net


def _create(spec: Spec) -> nn.Module:
    size, weights = spec.integer("image_size"), spec.options.get("weights")
    if not spec.flag("pretrained", default=True):
        if weights:
            raise BadSpec("'weights' and 'pretrained=false' exclude each other.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.integer("seed", default=0) or 0)
            return create_backbone(spec.name, image_size=size)
    if "seed" in spec.options:
        raise BadSpec("'seed' is for random weights: add pretrained=false.")
    if weights and not Path(weights).is_file():
        raise WeightsUnavailable(f"There is no file {weights} on this machine.")
    overlay = {"pretrained_cfg_overlay": {"file": weights}} if weights else {}
    try:
        return create_backbone(spec.name, pretrained=True, image_size=size, **overlay)
    except BadSpec:
        raise
    except Exception as error:  # the hub's client, torch and safetensors each raise their own
        raise WeightsUnavailable(
            f"The weights of '{spec.name}' could not be loaded: {_first_line(error)} If no model hub can be"
            f" reached from here, copy the file to this machine and name it: timm:{spec.name};weights=/path/to/file"
            f" (or ;pretrained=false for random weights)."
        ) from error


def _name(spec: Spec) -> str:
    random = "" if spec.flag("pretrained", default=True) else " random"
    return f"timm {spec.name}{random}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".") + "."
