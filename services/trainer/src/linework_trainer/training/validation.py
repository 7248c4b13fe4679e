"""How well the drawings that were kept back find one another: mAP, by the definitions of docs/evaluation.md."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from linework_core.recipes import Validation
from linework_trainer.data.dataset import TrainingData
from linework_trainer.data.labels import Ints
from linework_trainer.evaluation.metrics import judge
from linework_trainer.evaluation.ranking import NONE, Task

AT_ONCE = 256


def to_look_at(data: TrainingData, settings: Validation, seed: int) -> Ints:
    """Places of kept-back drawings, whole patents in random order, at most `settings.drawings` of them."""
    patents = np.unique(data.labels.patents[data.held])
    rank = np.random.default_rng([seed, 3]).permutation(int(patents.max(initial=0)) + 1)
    by_patent = np.argsort(rank[data.labels.patents[data.held]], kind="stable")
    return np.sort(data.held[by_patent[: settings.drawings]])


def mean_average_precision(
    towers: nn.Module, data: TrainingData, drawings: Ints, settings: Validation, device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
) -> float | None:  # fmt: skip
    """None where no drawing has another that is relevant to it."""
    groups = data.labels.of(settings.relevant)[drawings]
    if not len(drawings):
        return None
    towers.eval()
    with torch.inference_mode(), autocast():
        parts = [
            towers(torch.from_numpy(np.asarray(data.pictures[drawings[start : start + AT_ONCE]])).to(device), None)[0]
            for start in range(0, len(drawings), AT_ONCE)
        ]
    towers.train()
    vectors = torch.cat(parts).cpu().numpy()
    own = np.arange(len(drawings))
    wanted = np.where(groups >= 0, groups, NONE)
    task = Task(queries=vectors, database=vectors, wanted=wanted[:, None], groups=wanted, askers=own, owners=own)
    judged = judge(task, device=str(device))
    scores = judged.values["map"][judged.counted]
    return float(scores.mean()) if len(scores) else None
