"""What training minimises: losses, and how they are added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linework_trainer.losses.batch import Components, LossBatch


@dataclass(frozen=True, slots=True)
class Outcome:
    """`total` is to be minimised, with its gradient; `components` are for people, without."""

    total: Tensor
    components: Components


class WeightedSum(nn.Module):
    """Σ w_i · L_i with fixed weights; a component that is not named has weight 1."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})

    def forward(self, components: Components) -> Tensor:
        """Raises ValueError where a weight is given for a component that does not exist."""
        if unknown := set(self.weights) - set(components):
            raise ValueError(f"There are weights for {sorted(unknown)}, the losses are {sorted(components)}.")
        return torch.stack([self.weights.get(name, 1.0) * loss for name, loss in components.items()]).sum()


class Objective(nn.Module):
    """Losses and their sum. Its parameters (temperature, s_i, class centres) are trained along with the network.

    Computes in single precision also under autocast: a softmax at a temperature of 0.01 turns the third digit of
    a similarity, which bf16 does not have, into a factor of e^0.1.
    """

    def __init__(self, losses: Sequence[nn.Module], combine: nn.Module | None = None) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.combine = combine or WeightedSum()

    def forward(self, batch: LossBatch) -> Outcome:
        """Raises ValueError where two losses give a component of the same name."""
        components: Components = {}
        with torch.autocast(batch.drawings.device.type, enabled=False):
            batch = batch.map(_single_precision)
            for loss in self.losses:
                found = loss(batch)
                if twice := set(found) & set(components):
                    raise ValueError(f"Two losses are called {sorted(twice)}.")
                components |= found
            total = self.combine(components)
        return Outcome(total, {name: loss.detach() for name, loss in components.items()})


def _single_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
