"""ArcFace: classification with a margin between the angles (Deng et al. 2019).

Wang & Zhang 2023 and Higuchi & Yanai 2023 train it for drawings with each patent as a class.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from linework_trainer.losses.batch import UNKNOWN, Components, Label, LossBatch


class ArcFaceLoss(nn.Module):
    """Cross-entropy over scale · cos θ_c, with θ + margin (radians) in place of θ for the item's own class."""

    def __init__(
        self, classes: int, dimension: int, *, over: Label = "patents", margin: float = 0.5, scale: float = 64.0
    ) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes, dimension))
        nn.init.xavier_normal_(self.centres)
        self.over: Label = over
        self.margin, self.scale = margin, scale

    def forward(self, batch: LossBatch) -> Components:
        """{"arcface"}. Items without a label do not count."""
        labels = batch.labels(self.over)
        cosines = functional.linear(functional.normalize(batch.drawings), functional.normalize(self.centres))
        own = functional.one_hot(labels.clamp(min=0), len(self.centres)).bool()
        logits = self.scale * torch.where(own, self._with_margin(cosines), cosines)
        losses = functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
        return {"arcface": losses / (labels != UNKNOWN).sum().clamp(min=1)}

    def _with_margin(self, cosines: Tensor) -> Tensor:
        """cos(θ + m); beyond θ = π − m, where that would rise again, cos θ − m·sin m, as the authors' code has it."""
        sines = (1 - cosines.square()).clamp(min=1e-7).sqrt()  # the root has no finite gradient at 0
        moved = cosines * math.cos(self.margin) - sines * math.sin(self.margin)
        return torch.where(cosines > -math.cos(self.margin), moved, cosines - self.margin * math.sin(self.margin))
