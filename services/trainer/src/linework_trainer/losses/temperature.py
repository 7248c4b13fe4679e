"""The temperature of a contrastive loss, learned."""

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """Divides similarities by a learned temperature (Radford et al. 2021): 0.07 at first, never below 0.01.

    Losses that are to share one temperature are given the same object.
    """

    def __init__(self, initial: float = 0.07, smallest: float = 0.01) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / initial)))  # learned as CLIP does: steps are relative
        self.highest = math.log(1 / smallest)

    @property
    def value(self) -> float:
        """The temperature as it is now."""
        return math.exp(-self.log_scale.item())

    def forward(self, similarities: Tensor) -> Tensor:
        with torch.no_grad():  # clamping inside the graph would end the gradient, and the bound be kept for ever
            self.log_scale.clamp_(max=self.highest)
        return similarities * self.log_scale.exp()
