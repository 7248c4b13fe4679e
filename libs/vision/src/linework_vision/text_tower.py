"""Frozen text towers: texts to unit vectors. A tower is never trained here, so a checkpoint names it and holds
its hash, and training and serving load the same one.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from linework_vision.encoder import Vectors, unit_rows
from linework_vision.errors import BadSpec, WeightsUnavailable

BATCH = 32  # texts in one pass of the model; larger ones hold texts less alike in length, and more padding


class TextTowerRef(BaseModel):
    """Which text tower: `name` finds it ('minilm', 'open_clip:…'), `hash` is what its vectors depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    dimension: int = Field(gt=0, le=4000)


class TextTower(ABC):
    """Maps texts to unit vectors of `ref.dimension`. Call it from one thread at a time."""

    def __init__(self, ref: TextTowerRef, device: str) -> None:
        self.ref = ref
        self.device = torch.device(device)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, float32 (n, dimension), in the order of the texts. Raises NotFinite.

        Always in single precision, so that a text has one vector whether a trainer or a service asks for it, in
        whatever precision the rest runs. A text's neighbours change nothing but its last bits.
        """
        features = np.empty((len(texts), self.ref.dimension), dtype=np.float32)
        # Texts of like length go together, for then little of a batch is padding
        order = np.argsort([len(text) for text in texts], kind="stable")
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            for start in range(0, len(texts), BATCH):
                rows = order[start : start + BATCH]
                features[rows] = self._features([texts[row] for row in rows]).float().cpu().numpy()
        return unit_rows(features)

    @abstractmethod
    def _features(self, texts: list[str]) -> Tensor:
        """Features (n, dimension) of at most BATCH texts, of any length."""


def load_text_tower(name: str, device: str = "cpu") -> TextTower:
    """A tower by its name. Raises BadSpec, ModelNotAllowed, WeightsUnavailable.

    - `minilm`: all-MiniLM-L6-v2 out of an installed package; never asks the network
    - `open_clip:NAME/PRETRAINED`, a tag or a local file; `open_clip:local-dir:/folder`: the text side of a CLIP model
    """
    if name == "minilm":
        from linework_vision.minilm import load_minilm

        return load_minilm(device)
    if name.startswith("open_clip:"):
        from linework_vision.clip_text import load_clip_text

        return load_clip_text(name, device)
    raise BadSpec(f"'{name}' names no text tower. Known: minilm, open_clip:NAME/PRETRAINED.")


def reload_text_tower(ref: TextTowerRef, device: str = "cpu") -> TextTower:
    """The tower that `ref` means and no other. Raises BadSpec, WeightsUnavailable."""
    tower = load_text_tower(ref.name, device)
    if (tower.ref.hash, tower.ref.dimension) != (ref.hash, ref.dimension):
        raise WeightsUnavailable(
            f"The text tower '{ref.name}' on this machine is not the one that is wanted:"
            f" its hash is {tower.ref.hash[:12]}…, not {ref.hash[:12]}…."
        )
    return tower
