"""Batches of random features for tests of losses."""

import torch
from torch.nn.functional import normalize

from linework_trainer.losses import LossBatch


def random_batch(size: int = 24, dimension: int = 16, *, seed: int = 0) -> LossBatch:
    """Unit features with a gradient; 4 drawings a patent, 2 or 3 patents a subclass, some of them without one."""
    draw = torch.Generator().manual_seed(seed)

    def features() -> torch.Tensor:
        return normalize(torch.randn(size, dimension, generator=draw, dtype=torch.float64)).requires_grad_()

    patents = torch.arange(size) // 4
    subclasses = torch.where(patents == 1, -1, patents * 5 // 12)
    return LossBatch(
        drawings=features(),
        texts=features(),
        patents=patents,
        subclasses=subclasses,
        classes=torch.where(subclasses < 0, -1, subclasses // 2),
        categories=(subclasses == 0).long(),
    )


def with_single_positives(batch: LossBatch) -> LossBatch:
    own = torch.arange(len(batch.drawings))
    return LossBatch(
        drawings=batch.drawings, texts=batch.texts, patents=own, subclasses=own, classes=own, categories=own
    )
