"""Pairs of drawings within a batch, and how far they are apart."""

from dataclasses import dataclass

import torch
from torch import Tensor

from linework_trainer.losses.batch import different_label, same_label


@dataclass(frozen=True, slots=True)
class Pairs:
    """Squared distances of a batch's pairs, and which of them count.

    positive  (n, n) to every item;     is_positive  of another item with the same label
    negative  (n, k) to the nearest k;  is_negative  of an item with another label
    """

    positive: Tensor
    is_positive: Tensor
    negative: Tensor
    is_negative: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, hardest: int | None) -> "Pairs":
        """All pairs with one label; of pairs with two, the `hardest` for each item (None: all).

        features (n, d), rows of unit length; labels (n,).
        """
        distances = (2 - 2 * features @ features.T).clamp(min=0)  # |a − b|² of unit vectors
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        different = different_label(labels)
        count = min(hardest or len(labels), len(labels))
        nearest = distances.detach().masked_fill(~different, torch.inf).topk(count, dim=1, largest=False).indices
        return cls(
            positive=distances,
            is_positive=same_label(labels) & ~itself,
            negative=distances.gather(1, nearest),
            is_negative=different.gather(1, nearest),
        )


def mean_where(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of those values that count; 0, with a gradient of 0, where none does."""
    return torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1)
