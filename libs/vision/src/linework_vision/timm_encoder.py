"""Any image model of timm, its pooled features as the vector: `timm:NAME[;options]`."""

from typing import Any

import torch
from torch import nn

from linework_vision import sketch_a_net, torchvision_gap  # noqa: F401  # a model more; before timm
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec
from linework_vision.identity import make_manifest
from linework_vision.model_configs import TimmFile
from linework_vision.model_sources import HUB, LOCAL, allowed_path, check_hub, checked_copy, could_not_be_loaded
from linework_vision.pictures import MAX_SIDE, Preprocessing
from linework_vision.registry import Precision
from linework_vision.spec import Spec
from linework_vision.torch_encoder import TorchEncoder, check_device, feature_dimension, weights_digest

import timm  # isort: skip
from timm.data.config import resolve_data_config  # isort: skip

MOST_SEED = 2**32 - 1
OPTIONS = ("image_size", "pretrained", "seed", "weights")


def load_timm(spec: Spec, device: str, precision: Precision) -> Encoder:
    """Options: `weights=/file` loads a local file instead of the hub's; `pretrained=false;seed=N` gives random
    weights (tests, and untrained baselines); `image_size=N`. Raises BadSpec, ModelNotAllowed, WeightsUnavailable.
    """
    spec.allow(OPTIONS)
    check_device(device)
    net = _create(spec)
    preprocessing = preprocessing_of(net, image_size(spec))
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
    """A timm model without its classifier.

    Raises BadSpec if timm knows no such model, ModelNotAllowed, and what timm and the hub's client raise.
    """
    source, colon, place = name.partition(":")
    if colon:  # timm reads the source's name in any case, and takes hf_hub, too
        source = source.lower().replace("_", "-") + ":"
        if source not in (LOCAL, HUB):
            raise BadSpec(f"timm knows no model '{name}'.")
        with checked_copy(source + place, "config.json", TimmFile) as folder:
            return _made(f"{LOCAL}{folder}", pretrained=pretrained)
    if not timm.is_model(name):
        raise BadSpec(f"timm knows no model '{name}'.")
    if pretrained and "pretrained_cfg_overlay" not in more:
        check_hub("timm")
    config = timm.get_pretrained_cfg(name)
    if image_size and config is not None and config.fixed_input_size:
        more["img_size"] = image_size
    return _made(name, pretrained=pretrained, **more)


def _made(name: str, **more: Any) -> nn.Module:
    net: nn.Module = timm.create_model(name, num_classes=0, **more)
    return net


def _create(spec: Spec) -> nn.Module:
    size, weights = image_size(spec), spec.options.get("weights")
    if not spec.flag("pretrained", default=True):
        if weights:
            raise BadSpec("'weights' and 'pretrained=false' exclude each other.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.integer("seed", default=0, most=MOST_SEED))
            return create_backbone(spec.name, image_size=size)
    if "seed" in spec.options:
        raise BadSpec("'seed' is for random weights: add pretrained=false.")
    overlay: dict[str, Any] = {}
    if weights:
        # no other source: timm would follow what the model's own entry says of its format
        overlay["pretrained_cfg_overlay"] = {"file": str(allowed_path(weights)), "custom_load": False}
    try:
        return create_backbone(spec.name, pretrained=True, image_size=size, **overlay)
    except Exception as error:  # the hub's client, torch and safetensors each raise their own
        example = f"timm:{spec.name};weights=/path/to/file (or ;pretrained=false for random weights)."
        raise could_not_be_loaded(spec.name, error, example) from error


def image_size(spec: Spec) -> int | None:
    """The option of that name. Raises BadSpec."""
    return spec.integer("image_size", default=0, least=16, most=MAX_SIDE) or None


def _name(spec: Spec) -> str:
    random = "" if spec.flag("pretrained", default=True) else " random"
    return f"timm {spec.name}{random}"
