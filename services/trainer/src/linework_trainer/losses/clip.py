"""L_clip: each drawing belongs to its own text (Radford et al. 2021; eq. 1 of Lo et al. 2024)."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from linework_trainer.losses.batch import Components, LossBatch
from linework_trainer.losses.temperature import Temperature


class ClipLoss(nn.Module):
    """The mean of both directions; or, as eq. 1 of Lo et al. is printed, that from drawings to texts alone:
    −1/n Σ_i log (exp(v_i·t_i / τ) / Σ_j exp(v_i·t_j / τ)).
    """

    def __init__(self, temperature: Temperature, direction: Literal["both", "drawing-to-text"] = "both") -> None:
        super().__init__()
        self.temperature = temperature
        self.direction = direction

    def forward(self, batch: LossBatch) -> Components:
        """{"clip"}. Raises ValueError for a batch without texts."""
        logits = self.temperature(batch.drawings @ batch.described().T)
        own = torch.arange(len(logits), device=logits.device)
        loss = functional.cross_entropy(logits, own)
        if self.direction == "both":
            loss = (loss + functional.cross_entropy(logits.T, own)) / 2
        return {"clip": loss}
