"""Features of one batch, gathered from all processes that train together.

Every process then computes the loss of the whole batch. DistributedDataParallel averages gradients over the
processes, and gathering sends each feature the gradients of all of them: together that is the gradient of one
process with the whole batch. (Statistics inside the network, as batch normalisation keeps, are another matter:
torch.nn.SyncBatchNorm.)
"""

from typing import Any

import torch
from torch import Tensor, distributed

from linework_trainer.losses import LossBatch


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gather(tensor: Tensor) -> Tensor:
    """Rows of all processes, those of process 0 first: (n, …) to (processes · n, …), with gradients.

    Every process must bring the same number of rows. Alone, a process gets its own tensor back.
    """
    if processes() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


def gather_batch(batch: LossBatch) -> LossBatch:
    """The batch of all processes together."""
    return batch.map(gather)


class _Gather(torch.autograd.Function):
    """Torch has this function, but deprecated in torch.distributed.nn and else behind an underscore."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(processes())]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        start = distributed.get_rank() * int(ctx.rows)
        return total[start : start + int(ctx.rows)]
