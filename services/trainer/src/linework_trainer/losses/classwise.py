"""L_cls and L_cat: a drawing belongs to all texts of its class (eq. 2 of Lo et al. 2024)."""

from torch import nn

from linework_trainer.losses.batch import Components, Label, LossBatch, same_label
from linework_trainer.losses.multi_positive import multi_positive_cross_entropy
from linework_trainer.losses.temperature import Temperature


class ClasswiseLoss(nn.Module):
    """The mean of both directions of −1/n Σ_i 1/|P(i)| Σ_{p ∈ P(i)} log (exp(v_i·t_p / τ) / Σ_j exp(v_i·t_j / τ)).

    P(i) are the items with the same label as i: the subclass for the paper's L_cls, the head or tail category
    for its L_cat. The paper prints v_j in the denominator; it is read as v_i, so that with single positives the
    loss equals L_clip.
    """

    def __init__(self, temperature: Temperature, label: Label, name: str) -> None:
        super().__init__()
        self.temperature = temperature
        self.label: Label = label
        self.name = name

    def forward(self, batch: LossBatch) -> Components:
        """{name}. Raises ValueError for a batch without texts."""
        logits = self.temperature(batch.drawings @ batch.described().T)
        positives = same_label(batch.labels(self.label))  # symmetric: one mask serves both directions
        to_texts = multi_positive_cross_entropy(logits, positives)
        to_drawings = multi_positive_cross_entropy(logits.T, positives)
        return {self.name: (to_texts + to_drawings) / 2}
