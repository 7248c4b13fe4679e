"""The text side of any CLIP-like model of open_clip as a text tower: `open_clip:NAME/PRETRAINED`."""

from typing import Any

import torch
from torch import Tensor, nn

from linework_vision.clip_encoder import SCHEMES, create_clip, split_name
from linework_vision.identity import hash_of
from linework_vision.text_tower import TextTower, TextTowerRef
from linework_vision.torch_encoder import weights_digest


class ClipText(TextTower):
    """Features by open_clip's own `encode_text` and tokenizer, which cuts a text after the context's length."""

    def __init__(self, ref: TextTowerRef, clip: Any, tokenizer: Any, device: str) -> None:
        super().__init__(ref, device)
        self._clip = clip.to(self.device).eval()
        self._tokenizer = tokenizer

    def _features(self, texts: list[str]) -> Tensor:
        features: Tensor = self._clip.encode_text(self._tokenizer(texts).to(self.device))
        return features


def load_clip_text(name: str, device: str = "cpu") -> ClipText:
    """Raises BadSpec, WeightsUnavailable."""
    model, pretrained = split_name(name.removeprefix("open_clip:"))
    clip, tokenizer = create_clip(model, pretrained)
    clip.visual = nn.Identity()  # the larger half, and not needed
    identity = {
        "library": "open_clip",
        "architecture": "local" if model.startswith(SCHEMES) else model,
        "context_length": int(tokenizer.context_length),
        "weights": weights_digest(clip),
    }
    with torch.inference_mode():
        dimension = int(clip.encode_text(tokenizer([""])).shape[1])
    return ClipText(TextTowerRef(name=name, hash=hash_of(identity), dimension=dimension), clip, tokenizer, device)
