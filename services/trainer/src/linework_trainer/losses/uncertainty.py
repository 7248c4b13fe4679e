"""Weights of several losses, learned (eq. 3 of Lo et al. 2024; after Kendall, Gal & Cipolla 2018)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from linework_trainer.losses.batch import Components


class UncertaintyWeighting(nn.Module):
    """L = Σ L_i · exp(−s_i) + s_i, each s_i learned from 0."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in names})

    def forward(self, components: Components) -> Tensor:
        """Raises ValueError unless the components are those that it was made for."""
        if set(components) != set(self.log_variances):
            raise ValueError(f"Weights are for {sorted(self.log_variances)}, the losses are {sorted(components)}.")
        pairs = [(loss, self.log_variances[name]) for name, loss in components.items()]
        return torch.stack([loss * (-s).exp() + s for loss, s in pairs]).sum()

    def values(self) -> dict[str, float]:
        """The s_i as they are now."""
        return {name: s.item() for name, s in self.log_variances.items()}
