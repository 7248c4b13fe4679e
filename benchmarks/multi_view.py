"""Several views in a query against one: what joins their scores best?

    LINEWORK_DATA=… python benchmarks/multi_view.py [--objects 600] [--views 3] [--seed 0]

Each object with enough drawings gives a query of `--views` of its drawings, drawn at random; its other drawings are
relevant, and all drawings but those of the query are ranked. Reported is the mAP (pytrec-eval-terrier) of each view
alone (mean over the views), of the maximum and of the mean of their similarities, with a 95% bootstrap interval of the
paired gain over a single view. HOG, on line drawings of objects and on real patents.
"""

import argparse
import json
import os
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytrec_eval
from numpy.typing import NDArray

from linework_api.ingest import sources
from linework_api.ingest.formats import read
from linework_core.imaging import open_image, to_derivative
from linework_core.records import PatentRecord
from linework_vision import load

Drawings = dict[str, list[bytes]]


def ldraw(root: Path, objects: int, rng: np.random.Generator) -> Drawings:
    found: dict[str, list[str]] = defaultdict(list)
    for record in json.loads((root / "ldraw-views" / "records.json").read_text()):
        found[record["patentID"]].append(record["subfigure_file"])
    chosen = rng.choice(sorted(found), size=min(objects, len(found)), replace=False)
    with tarfile.open(root / "ldraw-views" / "images.tar") as tar:
        return {name: [_member(tar, file) for file in found[name]] for name in chosen}


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()


def patents(root: Path) -> Drawings:
    found: Drawings = {}
    for record in read(sources.resolve((root / "uspto" / "impact30").as_uri(), None)):
        if isinstance(record, PatentRecord):
            found[record.id] = [sheet.read() for sheet in record.sheets if sheet.role == "drawings"]
    return found


def embed(drawings: Drawings) -> tuple[NDArray[np.float32], list[str]]:
    encoder = load("hog")
    owners = [name for name, pictures in drawings.items() for _ in pictures]
    pictures = [picture for own in drawings.values() for picture in own]
    features = [encoder.preprocess(to_derivative(open_image(picture))) for picture in pictures]
    return encoder.encode_drawings(features), owners


def compare(vectors: NDArray[np.float32], owners: list[str], views: int, rng: np.random.Generator) -> None:
    rows = defaultdict(list)
    for row, owner in enumerate(owners):
        rows[owner].append(row)
    qrels: dict[str, dict[str, int]] = {}
    runs: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for owner, own in rows.items():
        if len(own) <= views:
            continue
        query = rng.choice(own, size=views, replace=False)
        similar = vectors @ vectors[query].T
        rest = [row for row in range(len(owners)) if row not in set(query)]
        qrels[owner] = {str(row): 1 for row in own if row in set(rest)}
        joined = {"max": similar.max(axis=1), "mean": similar.mean(axis=1)}
        joined |= {f"view {n}": similar[:, n] for n in range(views)}
        for name, scores in joined.items():
            runs[name][owner] = {str(row): float(scores[row]) for row in rest}
    judge = pytrec_eval.RelevanceEvaluator(qrels, {"map"})
    ap = {}
    for name, run in runs.items():
        judged = judge.evaluate(run)
        ap[name] = np.array([judged[query]["map"] for query in qrels])
    single = np.mean([ap[f"view {n}"] for n in range(views)], axis=0)
    print(f"{len(qrels)} queries of {views} views, {len(owners)} drawings\n")
    print("| joined by | mAP | gain over one view |\n|---|---|---|")
    print(f"| one view | {single.mean():.3f} | |")
    for name in ("mean", "max"):
        low, high = interval(ap[name] - single, rng)
        print(f"| {name} | {ap[name].mean():.3f} | {(ap[name] - single).mean():+.3f} ({low:+.3f} to {high:+.3f}) |")


def interval(gains: NDArray[np.float64], rng: np.random.Generator, draws: int = 10_000) -> tuple[float, float]:
    means = gains[rng.integers(0, len(gains), (draws, len(gains)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=600)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root, rng = Path(os.environ["LINEWORK_DATA"]), np.random.default_rng(options.seed)
    for name, drawings in (("ldraw-views", ldraw(root, options.objects, rng)), ("impact30", patents(root))):
        print(f"\n### {name}\n")
        compare(*embed(drawings), options.views, rng)


if __name__ == "__main__":
    main()
