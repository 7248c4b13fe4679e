"""The classic descriptors and what they are worth together, on real patents and on line drawings of objects.

    LINEWORK_DATA=… python -m benchmarks.descriptors [--objects 300] [--seed 0] [--pictures FOLDER] [--cache FOLDER]

- `impact30`: all sheets of 30 design patents but the front pages; protocol same-patent.
- `ldraw-views`: all drawings of 300 of the objects on which nothing is trained (benchmarks/training: one family of
  parts in five, by a hash of its number), drawn at random. Protocols same-patent (here: an object's other views) and
  class-temporal.

Protocols and mAP are the trainer's (docs/evaluation.md). Acc@k is the share of queries with something relevant among
the first k. Intervals: 95% percentile bootstrap that draws patents or objects, 10,000 draws, paired for gains.

A fusion joins unit vectors one after another, so that its similarity is the mean of theirs (`+`), or their mean
weighted by one over each descriptor's spread (`z`): the standard deviation of its similarities among the drawings of
150 other objects of `ldraw-views`. Times are of one core, from the decoded derivative to the vector.
"""

import argparse
import io
import json
import os
import random
import tarfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.training.corpora import is_kept_back
from linework_api.ingest import sources
from linework_api.ingest.formats import read
from linework_core.imaging import open_image, to_derivative
from linework_core.records import PatentRecord
from linework_trainer.evaluation.metrics import measures
from linework_trainer.evaluation.pictures import Shown, contact_sheet
from linework_trainer.evaluation.protocols import Names, Trial, class_temporal, same_patent
from linework_trainer.evaluation.ranking import Floats, Ints, Ranking, Task
from linework_trainer.evaluation.repository import Drawings
from linework_vision import load

DESCRIPTORS = ("hog", "lbp", "ahdh", "vishash", "sift-fv")
MIRRORED = "sift-fv;mirrors=true"
FUSED = [
    *(("hog", name) for name in ("lbp", "ahdh", "vishash", "sift-fv", MIRRORED)),
    ("hog", "lbp", "ahdh"), ("hog", "lbp", "sift-fv"), ("lbp", MIRRORED), ("hog", "lbp", MIRRORED),
    DESCRIPTORS, (*DESCRIPTORS[:-1], MIRRORED),
]  # fmt: skip
SCALE = 150  # objects, not kept back, by which spreads are measured
MEASURES = {"map": "mAP", "hit_rate@1": "Acc@1", "hit_rate@5": "Acc@5", "hit_rate@20": "Acc@20"}
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Derivatives with what an evaluation knows of them."""

    images: list[Image.Image]
    owners: list[str]
    classes: list[str | None]
    days: Ints

    def with_vectors(self, vectors: Floats) -> Drawings:
        every = list(range(len(self.owners)))
        names = [str(number) for number in every]
        return Drawings(every, names, self.owners, self.classes, names, self.days, vectors)


def patents(root: Path) -> Pictures:
    found = [
        (to_derivative(open_image(sheet.read())), record.id)
        for record in read(sources.resolve((root / "uspto" / "impact30").as_uri(), None))
        if isinstance(record, PatentRecord)
        for sheet in record.sheets
        if sheet.role == "drawings"
    ]
    images, owners = zip(*found, strict=True)
    return Pictures(list(images), list(owners), [None] * len(found), np.zeros(len(found), dtype=np.int64))


def objects(root: Path, number: int, seed: int, *, kept: bool) -> Pictures:
    """All drawings of so many objects, drawn at random from those that are kept back or from the others."""
    records = json.loads((root / "ldraw-views" / "records.json").read_text())
    names = sorted({record["patentID"] for record in records if is_kept_back(record["patentID"]) is kept})
    wanted = set(random.Random(seed).sample(names, min(number, len(names))))
    taken = {record["subfigure_file"]: record for record in records if record["patentID"] in wanted}
    images, facts = [], []
    with tarfile.open(root / "ldraw-views" / "images.tar") as archive:
        for member in archive:
            data = archive.extractfile(member) if member.name in taken else None
            if data is not None:
                images.append(to_derivative(Image.open(io.BytesIO(data.read()))))
                facts.append(taken[member.name])
    return Pictures(
        images, [fact["patentID"] for fact in facts], [fact["classification_locarno"] for fact in facts],
        np.array([date.fromisoformat(fact["patentdate"]).toordinal() for fact in facts]),
    )  # fmt: skip


def embed(name: str, images: Sequence[Image.Image], cache: Path | None, key: str) -> tuple[Floats, float]:
    """Unit vectors, and drawings a second of one core. What the cache has under the key is not made again."""
    encoder = load(name)
    kept = cache / f"{key}-{len(images)}-{encoder.manifest.id}.npz" if cache else None
    if kept and kept.exists():
        with np.load(kept) as found:
            return found["vectors"], float(found["rate"])
    start = time.process_time()
    vectors = encoder.encode_drawings([encoder.preprocess(image) for image in images])
    rate = len(images) / (time.process_time() - start)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=vectors, rate=rate)
    return vectors, rate


def spread(vectors: Floats) -> float:
    """The standard deviation of the similarities of all pairs."""
    similar = vectors @ vectors.T
    return float(similar[np.triu_indices(len(vectors), 1)].std())


def joined(parts: Iterable[Floats], weights: Iterable[float]) -> Floats:
    """Unit vectors whose inner product is the weighted mean of those of the parts."""
    shares = np.array(list(weights), dtype=np.float32)
    roots = np.sqrt(shares / shares.sum())
    return np.concatenate([root * part for root, part in zip(roots, parts, strict=True)], axis=1)


def judged(task: Task) -> dict[str, Values]:
    """Each measure of each query, NaN where nothing is relevant."""
    total = len(task.queries)
    values = {name: np.full(total, np.nan) for name in MEASURES}
    for ranks in Ranking(task).relevant():
        first = torch.segment_reduce(ranks.ranks.double(), "min", lengths=ranks.counts)
        at_one = (first <= 1).double().where(ranks.counts > 0, torch.nan)
        for name, column in {**measures(ranks), "hit_rate@1": at_one}.items():
            if name in values:
                values[name][ranks.queries] = column.numpy()
    return values


class Bootstrap:
    """Draws of patents with replacement, the same for all that is measured."""

    def __init__(self, owners: Sequence[str], counted: NDArray[np.bool_], draws: int = 10_000, seed: int = 0) -> None:
        self._counted = counted
        self._owner = Names()(np.array(owners)[counted].tolist())
        self._sizes = np.bincount(self._owner)
        many = len(self._sizes)
        self._times = np.random.default_rng(seed).multinomial(many, np.full(many, 1 / many), size=draws)

    def __call__(self, values: Values) -> tuple[float, float, float]:
        """The mean over the queries that count, and its 95% interval."""
        values = values[self._counted]
        sums = np.bincount(self._owner, weights=values)
        low, high = np.percentile((self._times @ sums) / (self._times @ self._sizes), [2.5, 97.5])
        return float(values.mean()), float(low), float(high)


@dataclass(frozen=True, slots=True)
class Measured:
    """One protocol on one set: the values of all that was measured, with their bootstrap."""

    title: str
    pictures: Pictures
    protocol: Callable[[Drawings], Trial]
    values: dict[str, dict[str, Values]]
    bootstrap: Bootstrap


def by_patent(drawings: Drawings) -> Trial:
    return same_patent(drawings, np.arange(len(drawings.ids)), Names()(drawings.classes))


def by_class(drawings: Drawings) -> Trial:
    return class_temporal(drawings, np.arange(len(drawings.ids)), Names()(drawings.classes))


def measure(
    title: str, pictures: Pictures, protocol: Callable[[Drawings], Trial], vectors: dict[str, Floats]
) -> Measured:
    values = {name: judged(protocol(pictures.with_vectors(rows)).task) for name, rows in vectors.items()}
    counted = ~np.isnan(next(iter(values.values()))["map"])
    return Measured(title, pictures, protocol, values, Bootstrap(pictures.owners, counted))


def fusions(vectors: dict[str, Floats], spreads: dict[str, float]) -> dict[str, Floats]:
    """Some groups by equal weights (`+`) and by spread (`z`)."""
    found = {}
    for group in FUSED:
        parts = [vectors[name] for name in group]
        found[" + ".join(group)] = joined(parts, [1.0] * len(group))
        found[" z ".join(group)] = joined(parts, [1 / spreads[name] for name in group])
    return found


def table(measured: Measured) -> None:
    counted = int((~np.isnan(next(iter(measured.values.values()))["map"])).sum())
    print(f"\n### {measured.title}: {len(measured.pictures.owners)} drawings, {counted} queries\n")
    print(f"| vectors | {' | '.join(MEASURES.values())} | gain in mAP over the best single |\n|{'---|' * 6}")
    best = max(DESCRIPTORS, key=lambda name: np.nanmean(measured.values[name]["map"]))
    for name, values in measured.values.items():
        cells = [three(*measured.bootstrap(values[one])) for one in MEASURES]
        told = "" if name == best else gain(measured, name, best)
        print(f"| {name} | {' | '.join(cells)} | {told} |", flush=True)
    print("\n`classic` against", "; ".join(f"{name} {gain(measured, 'classic', name)}" for name in DESCRIPTORS))


def gain(measured: Measured, name: str, other: str) -> str:
    """In mAP, paired."""
    mean, low, high = measured.bootstrap(measured.values[name]["map"] - measured.values[other]["map"])
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def three(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


def show(measured: Measured, vectors: Floats, name: str, folder: Path, rows: int = 8, hits: int = 8) -> None:
    """The best and the worst queries of a descriptor, one of each patent, as contact sheets."""
    score = np.nan_to_num(measured.values[name]["map"], nan=-1)
    trial = measured.protocol(measured.pictures.with_vectors(vectors))
    task, images, ranking = trial.task, measured.pictures.images, Ranking(trial.task)
    known = np.flatnonzero(score >= 0)
    order = known[np.argsort(score[known], kind="stable")]
    for which, queries in {"worst": order, "best": order[::-1]}.items():
        first = {measured.pictures.owners[query]: query for query in queries[::-1]}
        chosen = [query for query in queries if first[measured.pictures.owners[query]] == query][:rows]
        found = ranking.top(np.array(chosen), hits)
        sheet = [
            [Shown(images[query]), *(Shown(images[hit], bool(task.groups[hit] in task.wanted[query])) for hit in top)]
            for query, top in zip(chosen, found, strict=True)
        ]
        (folder / f"{measured.title} {name} {which}.png").write_bytes(contact_sheet(sheet))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=300, help="of those kept back, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="a folder that keeps vectors")
    parser.add_argument("--pictures", type=Path, help="a folder for the best and worst rankings of each descriptor")
    options = parser.parse_args()
    root = Path(os.environ["LINEWORK_DATA"])
    sets = {"impact30": patents(root), "ldraw-views": objects(root, options.objects, options.seed, kept=True)}
    scale = objects(root, SCALE, options.seed, kept=False)
    vectors: dict[str, dict[str, Floats]] = {name: {} for name in sets}
    spreads: dict[str, float] = {}
    print("| encoder | dimensions | drawings/s | spread |\n|---|---|---|---|")
    for name in (*DESCRIPTORS, MIRRORED, "classic"):
        if name != "classic":
            spreads[name] = spread(embed(name, scale.images, options.cache, f"others-{options.seed}")[0])
        for which, pictures in sets.items():
            vectors[which][name], rate = embed(name, pictures.images, options.cache, f"{which}-{options.seed}")
        dimension = vectors[which][name].shape[1]
        told = f"{spreads[name]:.4f}" if name in spreads else ""
        print(f"| `{name}` | {dimension} | {rate:.0f} | {told} |", flush=True)
    whole = {name: {**parts, **fusions(parts, spreads)} for name, parts in vectors.items()}
    for title, which, protocol in (
        ("impact30, same-patent", "impact30", by_patent),
        ("ldraw-views, same object", "ldraw-views", by_patent),
        ("ldraw-views, class-temporal", "ldraw-views", by_class),
    ):
        measured = measure(title, sets[which], protocol, whole[which])
        table(measured)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            for name in DESCRIPTORS:
                show(measured, vectors[which][name], name, options.pictures)


if __name__ == "__main__":
    main()
