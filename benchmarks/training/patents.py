"""An encoder on real patents, against the best of what needs no training: gains with intervals, and titles.

Same-patent retrieval as in benchmarks/descriptors.py. Titles: a patent's title asks for its drawings among all, by
the text tower alone; the mean average precision is compared with what it is when the titles are dealt out at random.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import average_precision_score

from benchmarks.descriptors import Measured, Pictures, by_patent, embed, gain, measure, patents, three
from linework_api.ingest import sources
from linework_api.ingest.formats import read
from linework_core.records import PatentRecord
from linework_vision import load

Values = NDArray[np.float64]


def show(spec: str, others: list[str], console: Console) -> None:
    """Print mAP of `spec` and of each other, the paired gain over it, and the test by titles."""
    root = Path(os.environ["LINEWORK_DATA"])
    pictures = patents(root)
    vectors = {name: embed(name, pictures.images, None, "")[0] for name in [spec, *others]}
    measured = measure("impact30", pictures, by_patent, vectors)
    for name in vectors:
        against = "" if name == spec else f"; gain of the first {gain(measured, spec, name)}"
        console.print(f"{name}: mAP {three(*_map(measured, name))}{against}", markup=False, soft_wrap=True)
    if load(spec).manifest.has_text:
        by_title(spec, pictures, vectors[spec], titles(root), console)


def _map(measured: Measured, name: str) -> tuple[float, float, float]:
    return measured.bootstrap(measured.values[name]["map"])


def titles(root: Path) -> dict[str, str]:
    records = read(sources.resolve((root / "uspto" / "impact30").as_uri(), None))
    return {record.id: record.title or "" for record in records if isinstance(record, PatentRecord)}


@dataclass(frozen=True, slots=True)
class Permuted:
    """The statistic with each title at its place, its mean over permutations, and the share of them that reach it."""

    right: float
    chance: float
    p: float


def permuted(scores: Values, draws: int = 10_000, seed: int = 0) -> Permuted:
    """`scores` (n, n): what title i gets if the drawings of patent j are the relevant ones."""
    dice, every = np.random.default_rng(seed), np.arange(len(scores))
    right = float(scores[every, every].mean())
    null = np.array([scores[every, dice.permutation(every)].mean() for _ in range(draws)])
    return Permuted(right, float(null.mean()), float((1 + (null >= right).sum()) / (1 + draws)))


def by_title(
    spec: str, pictures: Pictures, vectors: NDArray[np.float32], titles: dict[str, str], console: Console
) -> None:
    """The permutation test of the titles, judged by scikit-learn."""
    names = sorted(set(pictures.owners))
    similar = load(spec).encode_texts([titles[name] for name in names]) @ vectors.T
    relevant = np.array(pictures.owners)[None] == np.array(names)[:, None]
    scores = np.array([[average_precision_score(mine, row) for mine in relevant] for row in similar])
    found = permuted(scores)
    console.print(f"titles: mAP {found.right:.3f}, by chance {found.chance:.3f}, p = {found.p:.4f}", markup=False)
