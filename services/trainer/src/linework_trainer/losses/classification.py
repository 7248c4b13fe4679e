"""Plain classification: the first stage of PatentNet, with each patent as a class (Kucer et al. 2022)."""

from torch import nn
from torch.nn import functional

from linework_trainer.losses.batch import UNKNOWN, Components, Label, LossBatch


class ClassificationLoss(nn.Module):
    """Cross-entropy of a linear classifier on scale · features, which are of unit length."""

    def __init__(self, classes: int, dimension: int, *, over: Label = "patents", scale: float = 16.0) -> None:
        super().__init__()
        self.classifier = nn.Linear(dimension, classes)
        self.over: Label = over
        self.scale = scale  # logits of unit features lie within ±1 or so: too flat to tell thousands of classes apart

    def forward(self, batch: LossBatch) -> Components:
        """{"classification"}. Items without a label do not count."""
        labels = batch.labels(self.over)
        logits = self.classifier(self.scale * batch.drawings)
        losses = functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
        return {"classification": losses / (labels != UNKNOWN).sum().clamp(min=1)}
