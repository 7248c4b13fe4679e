"""A checkpoint folder: what Linework's trainer writes and its services read.

    config.json         CheckpointConfig: backbone, pooling, head, preprocessing, text tower
    model.safetensors   the weights of DrawingNet; a text tower is frozen, so it is named and not copied
    card.md             the model card, for people

Weights are safetensors, never pickles: loading a checkpoint runs no code of whoever wrote it.
"""

import shutil
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from linework_vision.card import ModelCard, render_card
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec, WeightsUnavailable
from linework_vision.heads import Head, make_head
from linework_vision.identity import make_manifest
from linework_vision.joined import JoinedEncoder, Part, part
from linework_vision.pictures import Preprocessing
from linework_vision.registry import Precision
from linework_vision.spec import Spec
from linework_vision.text_tower import TextTowerRef, reload_text_tower
from linework_vision.timm_encoder import create_backbone
from linework_vision.torch_encoder import TextFeatures, TorchEncoder, check_device, weights_digest

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "card.md"


class CheckpointConfig(BaseModel):
    """What a checkpoint's weights are for. `training` (data, seed, code) is kept but does not change the vectors.

    With a `text_tower` drawings and texts share a space: the tower's own, into which the head brings the drawings,
    or, with a `text_head`, one of `projection` dimensions into which both are brought.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    backbone: str
    pooling: Literal["backbone", "gem"] = "backbone"
    projection: int | None = Field(None, gt=0, le=4000)
    head: Head = "linear"
    preprocessing: Preprocessing
    text_tower: TextTowerRef | None = None
    text_head: Head | None = None
    # Classic descriptors that stand beside the network's vector, with what each one's similarity is divided by (its
    # spread among other drawings), and the network's as 'net' (joined.py)
    beside: dict[str, float] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.head != "linear" and self.projection is None:
            raise ValueError(f"A head '{self.head}' needs 'projection', the dimension that it ends in.")
        if self.text_head is not None and self.text_tower is None:
            raise ValueError("A text head needs a text tower.")
        if self.beside and ("net" not in self.beside or min(self.beside.values()) <= 0):
            raise ValueError("'beside' needs spreads above 0, and that of the network as 'net'.")
        return self

    def recipe(self) -> dict[str, Any]:
        """What the vectors depend on besides the weights. A field that came later counts only where it is used, so
        that what was registered before keeps its identity; a text tower counts by its hash, wherever it was found.
        """
        later = {"head", "text_tower", "text_head", "beside"}
        recipe = self.model_dump(mode="json", exclude={"name", "training"} | later)
        if self.head != "linear":
            recipe["head"] = self.head
        if self.text_tower is not None:
            recipe |= {"text_tower": self.text_tower.hash, "text_head": self.text_head}
        if self.beside:
            recipe["beside"] = {name: [spread, self._parameters(name)] for name, spread in self.beside.items()}
        return recipe

    def parts(self) -> dict[str, Part]:
        """The descriptors beside the network, by name. Raises BadSpec."""
        return {name: part(name) for name in self.beside if name != "net"}

    @staticmethod
    def _parameters(name: str) -> dict[str, Any]:
        return {} if name == "net" else dict(part(name).parameters)


class GeM(nn.Module):
    """Generalised mean over a feature map (n, c, h, w), its exponent learned (Radenović et al. 2019,
    'Fine-tuning CNN image retrieval with no human annotation').
    """

    def __init__(self, exponent: float = 3.0, floor: float = 1e-6) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.floor = floor

    def forward(self, features: Tensor) -> Tensor:
        return features.clamp(min=self.floor).pow(self.exponent).mean(dim=(-2, -1)).pow(1 / self.exponent)


class DrawingNet(nn.Module):
    """Backbone, pooling, heads. Training and serving both use this class, so they cannot drift apart."""

    def __init__(self, config: CheckpointConfig, *, pretrained: bool = False) -> None:
        """With `pretrained` the backbone starts from timm's weights. Raises BadSpec."""
        super().__init__()
        self.backbone: Any = create_backbone(
            config.backbone, pretrained=pretrained, image_size=config.preprocessing.height
        )
        self.pooling = GeM() if config.pooling == "gem" else None
        features = self._feature_count(config)
        self.dimension = config.projection or features
        self.projection = make_head(config.head, features, config.projection) if config.projection else nn.Identity()
        self.text_projection = self._text_head(config)

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (n, 3, height, width) to features (n, dimension), not yet of unit length."""
        features: Tensor = self.projection(self._pooled(pictures))
        return features

    def project_texts(self, features: Tensor) -> Tensor:
        """The text tower's unit rows (n, its dimension) to features (n, dimension), not yet of unit length."""
        projected: Tensor = self.text_projection(features)
        return projected

    def _text_head(self, config: CheckpointConfig) -> nn.Module:
        tower = config.text_tower
        if tower is not None and config.text_head is not None:
            return make_head(config.text_head, tower.dimension, self.dimension)
        if tower is not None and tower.dimension != self.dimension:
            raise BadSpec(
                f"The drawings' vectors have {self.dimension} dimensions and the texts' {tower.dimension}:"
                f" set 'projection' to {tower.dimension}, or add a text head."
            )
        return nn.Identity()

    def _pooled(self, pictures: Tensor) -> Tensor:
        pooled: Tensor
        if self.pooling is None:
            pooled = self.backbone(pictures)
        else:
            features = self.backbone.forward_features(pictures)
            if features.ndim != 4:
                raise BadSpec("GeM pooling needs a backbone with feature maps (n, c, h, w).")
            pooled = self.pooling(features)
        return pooled

    def _feature_count(self, config: CheckpointConfig) -> int:
        size = config.preprocessing
        self.backbone.eval()  # one picture has no batch statistics
        with torch.inference_mode():
            pooled = self._pooled(torch.zeros(1, 3, size.height, size.width))
        self.backbone.train()
        return int(pooled.shape[1])


def save_checkpoint(folder: Path, net: DrawingNet, config: CheckpointConfig, card: ModelCard | None = None) -> None:
    """Write a checkpoint; `folder` appears whole or not at all. Raises FileExistsError."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists already, and a checkpoint never changes.")
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    draft.mkdir(parents=True)
    try:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
        safetensors.torch.save_file(weights, draft / WEIGHTS)
        (draft / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
        if card is not None:
            (draft / CARD).write_text(render_card(card, name=config.name, model=_facts(net, config)))
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _facts(net: DrawingNet, config: CheckpointConfig) -> dict[str, str]:
    size = config.preprocessing
    head = f"{config.pooling} pooling" + (f", {config.head} head" if config.projection else "")
    tower = config.text_tower
    return {
        "Backbone": f"{config.backbone}, {head}",
        "Parameters": f"{sum(each.numel() for each in net.parameters()):,}",
        "Input": f"{size.width} x {size.height} px, {size.fit.replace('-', ' ')}",
        "Vector": f"{net.dimension} dimensions, length 1",
        "Text tower": f"{tower.name} (frozen, {tower.hash[:12]})" if tower else "none: drawings only",
    }


def load_checkpoint(spec: Spec, device: str, precision: Precision) -> Encoder:
    """The encoder of a checkpoint folder, for texts too if it has a text tower. Raises BadSpec, WeightsUnavailable."""
    spec.allow(())
    check_device(device)
    folder = Path(spec.name)
    config = read_config(folder)
    net = DrawingNet(config).eval()
    try:
        net.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsUnavailable(
            f"{folder / WEIGHTS} does not hold this model's weights: {str(error)[:300]}"
        ) from error
    parts = config.parts()
    manifest = make_manifest(
        name=config.name,
        spec=spec.text,
        dimension=net.dimension + sum(one.dimension for one in parts.values()),
        precision=precision,
        recipe={"library": "linework", **config.recipe()},
        weights=weights_digest(net),
        has_text=config.text_tower is not None,
    )
    texts = _text_features(net, config.text_tower, device) if config.text_tower else None
    encoder = TorchEncoder(manifest, net, config.preprocessing, device=device, precision=precision, text_features=texts)
    return JoinedEncoder(manifest, encoder, parts, config.beside) if parts else encoder


def _text_features(net: DrawingNet, ref: TextTowerRef, device: str) -> TextFeatures:
    tower = reload_text_tower(ref, device)

    def features(batch: list[str], on: torch.device) -> Tensor:
        return net.project_texts(torch.from_numpy(tower.encode(batch)).to(on))

    return features


def read_config(folder: Path) -> CheckpointConfig:
    """Raises WeightsUnavailable where there is no checkpoint, BadSpec where its description is wrong."""
    try:
        return CheckpointConfig.model_validate_json((folder / CONFIG).read_bytes())
    except OSError as error:
        raise WeightsUnavailable(f"There is no checkpoint in {folder} on this machine.") from error
    except ValidationError as error:
        raise BadSpec(f"{folder / CONFIG} describes no checkpoint: {error.errors()[0]['msg']}") from error
