"""Contrastive loss on pairs of drawings (eq. 4 of PatentNet, Kucer et al. 2022; Hadsell et al. 2006)."""

from torch import nn

from linework_trainer.losses.batch import Components, Label, LossBatch
from linework_trainer.losses.pairs import Pairs, mean_where


class ContrastiveLoss(nn.Module):
    """½·D² for two drawings of one patent, ½·max(0, margin − D)² for two of different ones, D = |a − b|.

    The two kinds are averaged apart and then added: a batch has a hundred times more negative pairs than positive
    ones. Of the negatives only the `hardest` of each drawing count, as the paper mines them (None: all).
    """

    def __init__(self, *, over: Label = "patents", margin: float = 0.7, hardest: int | None = 5) -> None:
        super().__init__()
        self.over: Label = over
        self.margin, self.hardest = margin, hardest

    def forward(self, batch: LossBatch) -> Components:
        """{"contrastive"}."""
        pairs = Pairs.of(batch.drawings, batch.labels(self.over), self.hardest)
        distances = (pairs.negative + 1e-12).sqrt()  # the root has no finite gradient at 0
        apart = (self.margin - distances).clamp(min=0).square()
        together = mean_where(pairs.positive, pairs.is_positive)
        return {"contrastive": (together + mean_where(apart, pairs.is_negative)) / 2}
