"""Cross-entropy where several candidates are right: what the losses over classes are made of."""

import torch
from torch import Tensor


def multi_positive_cross_entropy(logits: Tensor, positives: Tensor, candidates: Tensor | None = None) -> Tensor:
    """Mean over rows of −1/|P| Σ_{p ∈ P} log softmax(row)_p, the outer form of Khosla et al. 2020.

    logits (n, m), positives and candidates bool (n, m); the softmax runs over the candidates (default: all).
    Rows without a positive do not count; if no row has one, the loss is 0.
    """
    if candidates is not None:
        # The lowest number instead of −∞: a row without any candidate then has no NaN in its gradient
        logits = logits.masked_fill(~candidates, torch.finfo(logits.dtype).min)
    log_probabilities = torch.where(positives, logits.log_softmax(dim=1), 0.0)
    counts = positives.sum(dim=1)
    by_row = -log_probabilities.sum(dim=1) / counts.clamp(min=1)
    return by_row.sum() / (counts > 0).sum().clamp(min=1)
