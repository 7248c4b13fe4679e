"""Triplet loss (Schroff et al. 2015), with squared distances and the factor ½ as PatentNet has it."""

from torch import nn

from linework_trainer.losses.batch import Components, Label, LossBatch
from linework_trainer.losses.pairs import Pairs, mean_where


class TripletLoss(nn.Module):
    """½·max(0, margin + |a − p|² − |a − n|²), the mean over all positives p of a and its `hardest` negatives n.

    With hardest=None all triplets count; that takes memory for n³ numbers in a batch of n.
    """

    def __init__(self, *, over: Label = "patents", margin: float = 0.5, hardest: int | None = 5) -> None:
        super().__init__()
        self.over: Label = over
        self.margin, self.hardest = margin, hardest

    def forward(self, batch: LossBatch) -> Components:
        """{"triplet"}."""
        pairs = Pairs.of(batch.drawings, batch.labels(self.over), self.hardest)
        losses = (self.margin + pairs.positive[:, :, None] - pairs.negative[:, None, :]).clamp(min=0) / 2
        return {"triplet": mean_where(losses, pairs.is_positive[:, :, None] & pairs.is_negative[:, None, :])}
