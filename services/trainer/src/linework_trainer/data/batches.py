"""Which drawings come in which batch, by seed alone: batch 1000 is the same whether or not the 999 before were seen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from linework_core.recipes import Augmentation, BadRecipe, Stage
from linework_trainer.augment import Augment
from linework_trainer.data.dataset import TrainingData
from linework_trainer.data.labels import LABELS, Ints
from linework_trainer.data.sheets import Sheets

Batch = dict[str, Tensor]  # 'greys' uint8 (n, h, w), the four labels (n,), and 'texts' (n, d) where there are any
UNCHANGED = Augmentation(
    horizontal_flip=0, line_width=0, rotation=0, smallest_crop=1, crop_stretch=1, erasing=0, grid_mask=0
)


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of each batch is this process's."""

    rank: int = 0
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Course:
    """How long a stage is: batches of `size` drawings, so many an epoch, so many in all."""

    size: int
    per_epoch: int
    batches: int
    accumulate: int

    @classmethod
    def of(cls, stage: Stage, drawings: int, processes: int) -> "Course":
        """An epoch leaves out what would be an incomplete batch. Raises BadRecipe where a batch cannot be shared."""
        size = min(stage.batch_size, drawings - drawings % processes)
        if size < processes or size % processes:
            raise BadRecipe(f"A batch of {size} drawings cannot be shared by {processes} processes.")
        per_epoch = max(1, drawings // size)
        batches = -(-stage.images // size) if stage.images else stage.epochs * per_epoch
        return cls(size, per_epoch, max(batches, stage.accumulate), stage.accumulate)

    @property
    def steps(self) -> int:
        return self.batches // self.accumulate

    def epoch(self, step: int) -> int:
        """How many epochs are complete before a step."""
        return step * self.accumulate // self.per_epoch


class StageBatches(Dataset[Batch]):
    """Batch b of a stage, this process's share of it."""

    def __init__(
        self, data: TrainingData, stage: Stage, augmentation: Augmentation, seed: tuple[int, int], share: Share
    ) -> None:
        """`seed` is the training's and the number of its stage. Raises BadRecipe."""
        self.data, self.share, self.seed = data, share, seed
        self.course = Course.of(stage, len(data.train), share.processes)
        self.together = stage.together
        height, width = data.pictures.shape[1:]
        self.augment = None if augmentation == UNCHANGED else Augment(augmentation, height, width)
        self._sheets = Sheets(data, augmentation)
        self._known: tuple[int, Ints] | None = None

    def __getitem__(self, batch: int) -> Batch:
        epoch, place = divmod(batch, self.course.per_epoch)
        size = self.course.size
        own = size // self.share.processes
        mine = slice(self.share.rank * own, (self.share.rank + 1) * own)
        drawings = self._order(epoch)[place * size : (place + 1) * size][mine]
        found: Batch = {"greys": torch.from_numpy(self._greys(drawings, epoch))}
        for label in LABELS:
            found[label] = torch.from_numpy(self.data.labels.of(label)[drawings])
        if self.data.texts is not None:
            chances = np.random.default_rng([*self.seed, 1, batch]).random(size)[mine]
            found["texts"] = torch.from_numpy(np.asarray(self.data.texts.draw(drawings, chances)))
        return found

    def _greys(self, drawings: Ints, epoch: int) -> NDArray[np.uint8]:
        if self.augment is None:
            return np.asarray(self.data.pictures[drawings])
        return np.stack([self._variant(self.augment, int(one), epoch) for one in drawings])

    def _variant(self, augment: Augment, drawing: int, epoch: int) -> NDArray[np.uint8]:
        return augment(self._sheets(drawing, (*self.seed, 3, epoch, drawing)), (*self.seed, 2, epoch, drawing))

    def _order(self, epoch: int) -> Ints:
        if self._known is None or self._known[0] != epoch:
            dice = np.random.default_rng([*self.seed, 0, epoch])
            places = order(self.data.labels.patents[self.data.train], self.together, dice)
            self._known = epoch, self.data.train[places]
        return self._known[1]


def order(patents: Ints, together: int, dice: np.random.Generator) -> Ints:
    """All places of an epoch (n,) in random order, but up to `together` of one patent next to one another."""
    shuffled = dice.permutation(len(patents))
    if together == 1:
        return shuffled
    shuffled = shuffled[np.argsort(patents[shuffled], kind="stable")]
    _, starts, sizes = np.unique(patents[shuffled], return_index=True, return_counts=True)
    rank = np.arange(len(patents)) - np.repeat(starts, sizes)
    group = np.cumsum(rank % together == 0) - 1
    keys = dice.permutation(int(group[-1]) + 1)
    ordered: Ints = shuffled[np.argsort(keys[group], kind="stable")]
    return ordered


def load(batches: StageBatches, first: int, *, loaders: int, device: torch.device) -> Iterator[Batch]:
    """Batches from number `first` on, prepared ahead by so many processes (0: here, when they are asked for)."""
    # A server of forks is started anew: a fork of this process would inherit the locks of its threads
    several: dict[str, Any] = {"multiprocessing_context": "forkserver", "prefetch_factor": 4} if loaders else {}
    loader: DataLoader[Batch] = DataLoader(
        batches, batch_size=None, sampler=range(first, batches.course.batches), num_workers=loaders,
        pin_memory=device.type == "cuda", **several,
    )  # fmt: skip
    for batch in loader:
        yield {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
