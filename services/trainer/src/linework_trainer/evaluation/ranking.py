"""Who is ranked for whom, and where the relevant items stand. Everything is exact; memory is bounded by chunks.

The database is put in the order of its dates, so that what was known before a query is a beginning of it, and
each item of a query's ranking becomes one whole number, its key: the score in the upper half, then the item's place,
and in the last bit whether it is relevant. So keys are unique, ties come in the order in which the items were given,
and after sorting nothing but last bits is needed: where they are set are the ranks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
NONE = -1  # no group, no owner; also pads the rows of `wanted`
LEFT_OUT = torch.iinfo(torch.int64).min  # the key of an item that is not ranked
BYTES_PER_SCORE = 48  # what one query against one item takes at the most, all steps together
_NOBODY = -2  # in place of NONE among the items, so that it equals nothing that is asked for
_LAST = (1 << 31) - 1  # the greatest place
_LOWER = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Q queries against N items. Ties are ranked in the order of the items.

    An item is ranked for a query if its owner is not the one who asks and, where there are dates, its date lies
    before the query's. It is relevant if its group is among those that the query wants.
    """

    queries: Floats  # (Q, d); scores are inner products
    database: Floats  # (N, d)
    wanted: Ints  # (Q, m) groups, padded with NONE
    groups: Ints  # (N,)
    askers: Ints  # (Q,)
    owners: Ints  # (N,)
    before: Ints | None = None  # (Q,) days
    dates: Ints | None = None  # (N,) days

    def __post_init__(self) -> None:
        """Raises ValueError for parts that do not fit together."""
        (many, dimension), items = self.queries.shape, len(self.database)
        fits = self.database.shape[1:] == (dimension,) and self.wanted.shape[:1] == (many,) == self.askers.shape
        fits = fits and self.groups.shape == (items,) == self.owners.shape
        if self.before is not None and self.dates is not None:
            fits = fits and self.before.shape == (many,) and self.dates.shape == (items,)
        if not fits or (self.before is None) != (self.dates is None):
            raise ValueError("The parts of this task do not fit together.")


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where the relevant items of some queries stand: query after query, the last item of each first."""

    queries: Ints  # (b,) their places in the task
    ranks: Tensor  # (r,) int64, from 1
    ordinals: Tensor  # (r,) int64: the item is its query's j-th relevant one, from 1
    counts: Tensor  # (b,) relevant items that are ranked
    eligible: Tensor  # (b,) items that are ranked


class Ranking:
    """A task on a device, its database in the order of dates.

    `memory` is what the scores of one chunk of queries may take, in bytes; the vectors come on top of it.
    """

    def __init__(self, task: Task, *, device: str = "cpu", memory: int = 2**30) -> None:
        if len(task.database) > _LAST:
            raise ValueError("A database of more than 2^31 items.")
        self._device, self._memory = torch.device(device), memory
        self._task = task
        order = np.arange(len(task.database)) if task.dates is None else np.argsort(task.dates, kind="stable")
        self._dates = None if task.dates is None else task.dates[order]
        self._vectors = self._put(task.database[order])
        self._places = self._put((_LAST - order) << 1)
        self._groups, self._owners = self._nobodies(task.groups[order]), self._nobodies(task.owners[order])
        self._order = self._put(order)

    @property
    def items(self) -> int:
        return len(self._task.database)

    def relevant(self, queries: Ints | None = None, *, keep: NDArray[np.bool_] | None = None) -> Iterator[Ranks]:
        """The ranks of what is relevant to these queries (all by default), chunk by chunk.

        With `keep` (N,) only those items are ranked, and all relevant ones.
        """
        kept = None if keep is None else self._put(keep)[self._order]
        for chosen, known in self._chunks(queries):
            yield _ranks(chosen, self._keys(chosen, known, kept))

    def top(self, queries: Ints, k: int) -> list[Ints]:
        """The places in the database of the best k items of each query, fewer where fewer are ranked."""
        found: dict[int, Ints] = {}
        for chosen, known in self._chunks(queries):
            keys = self._keys(chosen, known, None)
            best = keys.topk(min(k, known), dim=1).values.cpu().numpy()
            for query, row in zip(chosen, best, strict=True):
                found[int(query)] = _LAST - ((row[row != LEFT_OUT] & _LOWER) >> 1)
        return [found[int(query)] for query in queries]

    def _chunks(self, queries: Ints | None) -> Iterator[tuple[Ints, int]]:
        """Queries whose scores fit the memory, and how long a beginning of the database they all need."""
        chosen = np.arange(len(self._task.queries)) if queries is None else np.asarray(queries, dtype=np.int64)
        known = np.full(len(chosen), len(self._task.database))
        if self._task.before is not None and self._dates is not None:
            known = np.searchsorted(self._dates, self._task.before[chosen], side="left")
            order = np.argsort(known, kind="stable")  # neighbours in time: no chunk reads more than it needs
            chosen, known = chosen[order], known[order]
        start = 0
        while start < len(chosen):
            end = min(start + self._fitting(int(known[start])), len(chosen))
            end = min(end, start + self._fitting(int(known[end - 1])))
            yield chosen[start:end], int(known[end - 1])
            start = end

    def _fitting(self, items: int) -> int:
        return min(max(1, self._memory // (BYTES_PER_SCORE * max(1, items))), 4096)

    def _keys(self, chosen: Ints, known: int, kept: Tensor | None) -> Tensor:
        """The keys (b, known), int64."""
        task = self._task
        wanted, askers = self._put(_short(task.wanted[chosen])), self._put(_short(task.askers[chosen]))
        ranked = self._owners[:known] != askers[:, None]
        if task.before is not None and self._dates is not None:
            cuts = self._put(np.searchsorted(self._dates, task.before[chosen], side="left"))
            ranked &= torch.arange(known, device=self._device) < cuts[:, None]
        relevant = torch.zeros_like(ranked)
        for column in wanted.unbind(1):
            relevant |= self._groups[:known] == column[:, None]
        relevant &= ranked
        if kept is not None:
            ranked &= kept[:known] | relevant
        scores = self._put(task.queries[chosen]) @ self._vectors[:known].T
        keys = _ordered(scores).bitwise_left_shift_(32).bitwise_or_(self._places[:known]).bitwise_or_(relevant)
        return keys.masked_fill_(ranked.logical_not_(), LEFT_OUT)

    def _nobodies(self, numbers: Ints) -> Tensor:
        return self._put(_short(np.where(numbers == NONE, _NOBODY, numbers)))

    def _put(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)


def _ordered(scores: Tensor) -> Tensor:
    """float32 as whole numbers (int64) of the same order: negative numbers' bits run the other way."""
    bits = scores.add_(0.0).view(torch.int32)  # adding makes -0 a 0
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return bits.long()


def _ranks(chosen: Ints, keys: Tensor) -> Ranks:
    """Where the relevant items stand. Sorts `keys` in place."""
    ascending = _sorted(keys)
    rows, columns = (ascending & 1).bool().nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(keys))
    ordinals = counts.cumsum(0)[rows] - torch.arange(len(rows), device=keys.device)
    return Ranks(chosen, keys.shape[1] - columns, ordinals, counts, (ascending != LEFT_OUT).sum(dim=1))


def _short(numbers: Ints) -> NDArray[np.int32]:
    return numbers.astype(np.int32)  # half the bytes to compare


def _sorted(values: Tensor) -> Tensor:
    """Rows in ascending order. NumPy sorts whole numbers with vector instructions: 8 times as fast on a CPU."""
    if values.device.type != "cpu":
        return values.sort(dim=1).values
    values.numpy().sort(axis=1)
    return values
