"""What stands between a backbone's pooled features and the vector: projections that are trained."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Head = Literal["linear", "mlp", "whitening"]


class UnitLength(nn.Module):
    """Rows (n, d) scaled to length 1."""

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(features, dim=-1)


def make_head(kind: Head, features: int, dimension: int) -> nn.Module:
    """Features (n, features) to (n, dimension), not yet of unit length.

    - `linear`: one matrix
    - `mlp`: the projector that brings drawings into a text tower's space (Lo et al. 2024), one hidden layer
    - `whitening`: l2, then one matrix, as after GeM in PatentNet; its second l2 is the one that all vectors get
    """
    if kind == "linear":
        return nn.Linear(features, dimension)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(features, features), nn.GELU(), nn.Linear(features, dimension))
    return nn.Sequential(UnitLength(), nn.Linear(features, dimension))
