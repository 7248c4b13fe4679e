"""A checkpoint folder: what Linework's trainer writes and its services read.

    config.json         CheckpointConfig: backbone, pooling, projection, preprocessing
    model.safetensors   the weights of DrawingNet

Weights are safetensors, never pickles: loading a checkpoint runs no code of whoever wrote it.
"""

import shutil
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec, WeightsUnavailable
from linework_vision.identity import make_manifest
from linework_vision.pictures import Preprocessing
from linework_vision.registry import Precision
from linework_vision.spec import Spec
from linework_vision.timm_encoder import create_backbone
from linework_vision.torch_encoder import TorchEncoder, check_device, weights_digest

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class CheckpointConfig(BaseModel):
    """What a checkpoint's weights are for. `training` (data, seed, code) is kept but does not change the vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    backbone: str
    pooling: Literal["backbone", "gem"] = "backbone"
    projection: int | None = Field(None, gt=0, le=4000)
    preprocessing: Preprocessing
    training: dict[str, Any] = Field(default_factory=dict)


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
    """Backbone, pooling, projection. Training and serving both use this class, so they cannot drift apart."""

    def __init__(self, config: CheckpointConfig, *, pretrained: bool = False) -> None:
        """With `pretrained` the backbone starts from timm's weights. Raises BadSpec."""
        super().__init__()
        self.backbone: Any = create_backbone(
            config.backbone, pretrained=pretrained, image_size=config.preprocessing.height
        )
        self.pooling = GeM() if config.pooling == "gem" else None
        features = self._feature_count(config)
        self.dimension = config.projection or features
        self.projection = nn.Linear(features, config.projection) if config.projection else nn.Identity()

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (n, 3, height, width) to features (n, dimension), not yet of unit length."""
        features: Tensor = self.projection(self._pooled(pictures))
        return features

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


def save_checkpoint(folder: Path, net: DrawingNet, config: CheckpointConfig) -> None:
    """Write a checkpoint; `folder` appears whole or not at all. Raises FileExistsError."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists already, and a checkpoint never changes.")
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    draft.mkdir(parents=True)
    try:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
        safetensors.torch.save_file(weights, draft / WEIGHTS)
        (draft / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load_checkpoint(spec: Spec, device: str, precision: Precision) -> Encoder:
    """The encoder of a checkpoint folder. Raises BadSpec, WeightsUnavailable."""
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
    manifest = make_manifest(
        name=config.name,
        spec=spec.text,
        dimension=net.dimension,
        precision=precision,
        recipe={"library": "linework", **config.model_dump(mode="json", exclude={"name", "training"})},
        weights=weights_digest(net),
    )
    return TorchEncoder(manifest, net, config.preprocessing, device=device, precision=precision)


def read_config(folder: Path) -> CheckpointConfig:
    """Raises WeightsUnavailable where there is no checkpoint, BadSpec where its description is wrong."""
    try:
        return CheckpointConfig.model_validate_json((folder / CONFIG).read_bytes())
    except OSError as error:
        raise WeightsUnavailable(f"There is no checkpoint in {folder} on this machine.") from error
    except ValidationError as error:
        raise BadSpec(f"{folder / CONFIG} describes no checkpoint: {error.errors()[0]['msg']}") from error
