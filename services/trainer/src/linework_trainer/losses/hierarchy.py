"""Drawings of one patent are closest, then those of one subclass, then those of one class."""

from collections.abc import Sequence

import torch
from torch import nn

from linework_trainer.losses.batch import Components, Label, LossBatch, same_label
from linework_trainer.losses.multi_positive import multi_positive_cross_entropy
from linework_trainer.losses.temperature import Temperature


class HierarchicalLoss(nn.Module):
    """Supervised contrast among drawings (Khosla et al. 2020) on each level of patent > subclass > class.

    Each level is a component of its own and gets its weight from the objective. So a level's weight does not
    depend on how many positives it has: a subclass has hundreds where a patent has seven, and pairs weighted one
    by one (as in Kavimandan et al. 2025) would let the coarse level drown the fine one.
    """

    def __init__(
        self, temperature: Temperature, levels: Sequence[Label] = ("patents", "subclasses", "classes")
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.levels = tuple(levels)

    def forward(self, batch: LossBatch) -> Components:
        """One component for each level, named as the level. A drawing alone in its label does not count there."""
        logits = self.temperature(batch.drawings @ batch.drawings.T)
        others = ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        return {
            level: multi_positive_cross_entropy(logits, same_label(batch.labels(level)) & others, others)
            for level in self.levels
        }
