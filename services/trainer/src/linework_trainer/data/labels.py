"""Labels as numbers, and who is kept back."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linework_core.recipes import Label
from linework_trainer.evaluation.metrics import head_classes
from linework_trainer.losses import UNKNOWN

Ints = NDArray[np.int64]
LABELS: tuple[Label, ...] = ("patents", "subclasses", "classes", "categories")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of n drawings, each (n,), and how many different ones there are among those that are trained on.

    Those of the drawings that are trained on come first: 0 to count − 1. UNKNOWN where there is none.
    """

    patents: Ints
    subclasses: Ints
    classes: Ints
    categories: Ints
    counts: dict[Label, int]

    def of(self, label: Label) -> Ints:
        labels: Ints = getattr(self, label)
        return labels


def make_labels(
    patents: Sequence[str], locarno: Sequence[str | None], train: NDArray[np.bool_], head_share: float
) -> Labels:
    """`train` says which drawings are trained on: head and tail are counted on them alone, as in Lo et al. 2024."""
    parents = [None if name is None else name.partition("-")[0] for name in locarno]
    sizes = Counter(name for name, trained in zip(locarno, train, strict=True) if name is not None and trained)
    head = head_classes(sizes, head_share) if sizes else frozenset()
    categories = [UNKNOWN if name is None else int(name in head) for name in locarno]
    numbered = {
        "patents": _numbers(patents, train),
        "subclasses": _numbers(locarno, train),
        "classes": _numbers(parents, train),
    }
    counts: dict[Label, int] = {"categories": 2}
    for label, (_, count) in numbered.items():
        counts[label] = count  # type: ignore[index]
    columns = {label: numbers for label, (numbers, _) in numbered.items()}
    return Labels(**columns, categories=np.array(categories, dtype=np.int64), counts=counts)


def _numbers(names: Sequence[str | None], train: NDArray[np.bool_]) -> tuple[Ints, int]:
    ours = {name for name, trained in zip(names, train, strict=True) if name is not None and trained}
    others = {name for name in names if name is not None} - ours
    number = {name: place for place, name in enumerate([*sorted(ours), *sorted(others)])}
    return np.array([UNKNOWN if name is None else number[name] for name in names], dtype=np.int64), len(ours)


def kept_back(patents: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which drawings are kept back: all those of a `share` of the patents, which does not depend on the others."""

    def chance(patent: str) -> float:
        digest = hashlib.sha256(f"{seed}\n{patent}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64

    chosen = {patent: chance(patent) < share for patent in set(patents)}
    return np.array([chosen[patent] for patent in patents], dtype=bool)
