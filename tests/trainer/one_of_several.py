"""A training step of one process among several: `python one_of_several.py RANK PROCESSES MEETING_FILE OUT`.

With one process it is the reference. A script and no test: torch starts its processes itself.
"""

import sys
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.functional import normalize
from torch.nn.parallel import DistributedDataParallel

from linework_trainer.distributed import gather_batch
from linework_trainer.losses import (
    ArcFaceLoss,
    ClasswiseLoss,
    ClipLoss,
    ContrastiveLoss,
    HierarchicalLoss,
    LossBatch,
    Objective,
    Temperature,
    TripletLoss,
    UncertaintyWeighting,
)

ROWS, INPUTS, FEATURES = 16, 8, 6


class Step(nn.Module):
    """A small network and every loss that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(INPUTS, 12), nn.Tanh(), nn.Linear(12, FEATURES))
        temperature = Temperature(0.2)
        losses = [
            ClipLoss(temperature),
            ClasswiseLoss(temperature, "subclasses", "cls"),
            ClasswiseLoss(temperature, "categories", "cat"),
            ArcFaceLoss(4, FEATURES, scale=8),
            TripletLoss(hardest=3),
            ContrastiveLoss(hardest=3),
            HierarchicalLoss(Temperature(0.3)),
        ]
        names = ["clip", "cls", "cat", "arcface", "triplet", "contrastive", "patents", "subclasses", "classes"]
        self.objective = Objective(losses, UncertaintyWeighting(names))

    def forward(self, inputs: torch.Tensor, batch: LossBatch) -> torch.Tensor:
        labels = {name: getattr(batch, name) for name in ("texts", "patents", "subclasses", "classes", "categories")}
        features = LossBatch(drawings=normalize(self.net(inputs)), **labels)
        total: torch.Tensor = self.objective(gather_batch(features)).total
        return total


def main(rank: int, processes: int, meeting: str, out: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    step: nn.Module = Step().double()
    inputs, texts = torch.randn(ROWS, INPUTS).double(), normalize(torch.randn(ROWS, FEATURES).double())
    patents = torch.randperm(ROWS) % 4
    whole = LossBatch(
        drawings=inputs,
        texts=texts,
        patents=patents,
        subclasses=patents // 2,
        classes=patents // 4,
        categories=patents % 2,
    )
    if processes > 1:
        distributed.init_process_group(
            "gloo", f"file://{meeting}", rank=rank, world_size=processes, timeout=timedelta(seconds=240)
        )
        step = DistributedDataParallel(step)
    rows = slice(rank * ROWS // processes, (rank + 1) * ROWS // processes)
    part = whole.map(lambda tensor: tensor[rows])
    loss = step(part.drawings, part)
    loss.backward()
    gradients = {name.removeprefix("module."): weight.grad for name, weight in step.named_parameters()}
    torch.save({"loss": loss.detach(), "gradients": gradients}, out)
    if processes > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
