"""What a loss sees of a batch, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Components = dict[str, Tensor]  # a loss's scalars by name
Label = Literal["patents", "subclasses", "classes", "categories"]
UNKNOWN = -1  # the label of an item that has none, such as a patent without a Locarno class


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBatch:
    """Features and labels of n drawings. Labels are whole numbers from 0, or UNKNOWN.

    drawings    (n, d), rows of unit length
    texts       (n, d), rows of unit length: one text of each drawing; None where no loss asks for texts
    patents     (n,) the patent (or object) that a drawing shows
    subclasses  (n,) Locarno subclass, `14-02`
    classes     (n,) Locarno class, `14`
    categories  (n,) 1 in the head of the distribution (the most frequent 40% of the subclasses), 0 in its tail
    """

    drawings: Tensor
    patents: Tensor
    subclasses: Tensor
    classes: Tensor
    categories: Tensor
    texts: Tensor | None = None

    def labels(self, label: Label) -> Tensor:
        """One label of all items, (n,)."""
        labels: Tensor = getattr(self, label)
        return labels

    def map(self, function: Callable[[Tensor], Tensor]) -> "LossBatch":
        """The batch with each of its tensors replaced."""
        return LossBatch(
            drawings=function(self.drawings),
            patents=function(self.patents),
            subclasses=function(self.subclasses),
            classes=function(self.classes),
            categories=function(self.categories),
            texts=None if self.texts is None else function(self.texts),
        )

    def described(self) -> Tensor:
        """The texts' features. Raises ValueError where the batch has none."""
        if self.texts is None:
            raise ValueError("This loss compares drawings with texts, and the batch has no texts.")
        return self.texts


def same_label(labels: Tensor) -> Tensor:
    """Which pairs of items have one label, bool (n, n). What has no label is like itself alone."""
    same = (labels[:, None] == labels[None, :]) & (labels != UNKNOWN)[:, None]
    return same | torch.eye(len(labels), dtype=torch.bool, device=labels.device)


def different_label(labels: Tensor) -> Tensor:
    """Which pairs are known to differ, bool (n, n): of an item without a label nobody knows that."""
    known = labels != UNKNOWN
    return (labels[:, None] != labels[None, :]) & known[:, None] & known[None, :]
