"""The gradient of one batch, on one process or several, with memory for all of it or for a chunk at a time."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from linework_trainer.data.batches import Batch
from linework_trainer.data.labels import LABELS
from linework_trainer.distributed import gather_batch
from linework_trainer.losses import LossBatch, Objective, Outcome

Autocast = Callable[[], AbstractContextManager[None]]
Seed = tuple[int, ...]


def seed_torch(seed: Seed) -> None:
    """What the network draws (dropout, stochastic depth) follows from the step: a resumed run draws it again."""
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))


class MetricGradient:
    """Adds the gradient of `scale` times the objective to all parameters.

    The objective's own parameters see the whole batch in every process, and so get the same gradient in each.
    """

    def __init__(self, towers: nn.Module, objective: Objective, chunk: int | None, autocast: Autocast) -> None:
        """`towers` (building.Towers) may be wrapped in DistributedDataParallel."""
        self.towers, self.objective, self.chunk, self.autocast = towers, objective, chunk, autocast

    def __call__(self, batch: Batch, seed: Seed, *, scale: float, last: bool) -> Outcome:
        """`last`: the gradients of all processes are averaged now, as no more batches follow before the step."""
        own = len(batch["greys"])
        if self.chunk is None or self.chunk >= own:
            with self._apart(not last):
                seed_torch(seed)
                return self._backward(batch, *self._features(self.towers, batch, slice(None)), scale)
        return self._cached(batch, seed, scale, last)

    def _cached(self, batch: Batch, seed: Seed, scale: float, last: bool) -> Outcome:
        """Gao et al. 2021: features of all chunks without a graph; the loss's gradient with respect to them; then each
        chunk once more, with a graph, to carry that gradient on. Exact, but for statistics within a chunk.
        """
        chunks = list(_chunks(len(batch["greys"]), self.chunk or 1))
        plain = self.towers.module if isinstance(self.towers, DistributedDataParallel) else self.towers
        with torch.no_grad():
            parts = []
            for number, chunk in enumerate(chunks):
                seed_torch((*seed, number))
                parts.append(self._features(plain, batch, chunk))
        drawings = torch.cat([part for part, _ in parts]).requires_grad_()
        texts = None if parts[0][1] is None else torch.cat([part for _, part in parts if part is not None])
        leaves = [drawings] if texts is None else [drawings, texts.requires_grad_()]
        outcome = self._backward(batch, drawings, texts, scale)
        for number, chunk in enumerate(chunks):
            with self._apart(not last or number < len(chunks) - 1):
                seed_torch((*seed, number))
                again = [part for part in self._features(self.towers, batch, chunk) if part is not None]
                carried = [
                    (part, leaf.grad[chunk])
                    for part, leaf in zip(again, leaves, strict=True)
                    if leaf.grad is not None and part.requires_grad
                ]
                torch.autograd.backward([part for part, _ in carried], [gradient for _, gradient in carried])
        return outcome

    def _features(self, towers: nn.Module, batch: Batch, rows: slice) -> tuple[Tensor, Tensor | None]:
        texts = batch["texts"][rows] if "texts" in batch else None
        with self.autocast():
            features: tuple[Tensor, Tensor | None] = towers(batch["greys"][rows], texts)
        return features

    def _backward(self, batch: Batch, drawings: Tensor, texts: Tensor | None, scale: float) -> Outcome:
        labels = {label: batch[label] for label in LABELS}
        outcome: Outcome = self.objective(gather_batch(LossBatch(drawings=drawings, texts=texts, **labels)))
        (outcome.total * scale).backward()
        return outcome

    def _apart(self, apart: bool) -> AbstractContextManager[None]:
        """While `apart`, no gradients go between processes: it is done once a step."""
        if apart and isinstance(self.towers, DistributedDataParallel):
            return self.towers.no_sync()
        return nullcontext()


class RotationGradient:
    """The same for networks.RotationTask, whose loss needs nothing but the drawings."""

    def __init__(self, task: nn.Module, normalise: Callable[[Tensor], Tensor], chunk: int | None, autocast: Autocast):
        self.task, self.normalise, self.chunk, self.autocast = task, normalise, chunk, autocast

    def __call__(self, batch: Batch, seed: Seed, *, scale: float, last: bool) -> Outcome:
        greys = batch["greys"]
        chunks = list(_chunks(len(greys), self.chunk or len(greys)))
        total, right = torch.zeros((), device=greys.device), torch.zeros((), device=greys.device)
        for number, chunk in enumerate(chunks):
            share = (chunk.stop - chunk.start) / len(greys)
            apart = not last or number < len(chunks) - 1
            ddp = isinstance(self.task, DistributedDataParallel)
            with self.task.no_sync() if apart and ddp else nullcontext():  # type: ignore[operator]
                seed_torch((*seed, number))
                with self.autocast():
                    found = self.task(self.normalise(greys[chunk]))
                (found["rotation"] * share * scale).backward()
            total, right = total + found["rotation"].detach() * share, right + found["accuracy"] * share
        return Outcome(total, {"rotation": total, "accuracy": right})


def _chunks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
