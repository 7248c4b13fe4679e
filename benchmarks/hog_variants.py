"""Same-object retrieval by HOG variants on line drawings, to choose the default encoder's parameters.

    LINEWORK_DATA=/path/to/data python benchmarks/hog_variants.py [--objects 400] [--seed 0]

Each drawing of a random choice of objects is a query against all others; the drawings of the same object
are relevant. Rates are drawings per second of one core, from the decoded derivative to the vector.
"""

import argparse
import io
import json
import os
import random
import tarfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linework_core.imaging import to_derivative
from linework_vision.hog import HogParameters, make_hog

PLAIN = HogParameters(side=128, cell=16, orientations=8, block_norm="L2-Hys", margin=0.0, blur=0.0, mirrors="none")
CHOSEN = HogParameters()


def variants() -> dict[str, HogParameters]:
    """From plain HOG to the chosen one, then the chosen one with one parameter changed at a time."""

    def plain(**more: object) -> HogParameters:
        return PLAIN.model_copy(update=more)

    def chosen(**more: object) -> HogParameters:
        return CHOSEN.model_copy(update=more)

    soft = {"margin": 0.05, "blur": 2.0}
    return {
        "plain: 128 px, 16 px cells, 8 orientations, L2-Hys": plain(),
        "  + blocks of 2 x 2": plain(block=2),
        "  + margin .05": plain(margin=0.05),
        "  + margin .05, blur 2 px": plain(**soft),
        "  + mirrored horizontally": plain(**soft, mirrors="horizontal"),
        "  + mirrored both ways": plain(**soft, mirrors="both"),
        "chosen: 96 px, 12 px cells, 8 orientations, L2": chosen(),
        "  not mirrored": chosen(mirrors="none"),
        "  mirrored horizontally only": chosen(mirrors="horizontal"),
        "  no blur": chosen(blur=0.0),
        "  blur 1 px": chosen(blur=1.0),
        "  blur 2 px": chosen(blur=2.0),
        "  margin .05": chosen(margin=0.05),
        "  margin .15": chosen(margin=0.15),
        "  12 orientations": chosen(orientations=12),
        "  16 orientations": chosen(orientations=16),
        "  L2-Hys": chosen(block_norm="L2-Hys"),
        "  L1-sqrt": chosen(block_norm="L1-sqrt"),
        "  blocks of 2 x 2": chosen(block=2),
        "  64 px, 8 px cells, blur 1 px": chosen(side=64, cell=8, blur=1.0),
        "  128 px, 16 px cells, blur 2 px": chosen(side=128, cell=16, blur=2.0),
        "  8 px cells": chosen(cell=8),
        "  16 px cells": chosen(cell=16),
    }


def read(folder: Path, objects: int, seed: int) -> tuple[list[Image.Image], NDArray[np.int64]]:
    """Derivatives and the number of the object that each shows."""
    records = json.loads((folder / "records.json").read_text())
    names = sorted({record["patentID"] for record in records})
    wanted = set(random.Random(seed).sample(names, objects))
    owner = {r["subfigure_file"]: r["patentID"] for r in records if r["patentID"] in wanted}
    drawings, owners = [], []
    with tarfile.open(folder / "images.tar") as archive:
        for member in archive:
            data = archive.extractfile(member) if member.name in owner else None
            if data is not None:
                drawings.append(to_derivative(Image.open(io.BytesIO(data.read()))))
                owners.append(owner[member.name])
    return drawings, np.unique(owners, return_inverse=True)[1]


def judge(vectors: NDArray[np.float32], owners: NDArray[np.int64]) -> tuple[float, float]:
    """Mean average precision and the share of queries whose first hit is relevant."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    relevant = owners[order] == owners[:, None]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    average = (precision * relevant).sum(axis=1) / relevant.sum(axis=1)
    return float(average.mean()), float(relevant[:, 0].mean())


def row(name: str, parameters: HogParameters, drawings: list[Image.Image], owners: NDArray[np.int64]) -> None:
    encoder = make_hog(parameters)
    start = time.process_time()
    vectors = encoder.encode_drawings([encoder.preprocess(drawing) for drawing in drawings])
    rate = len(drawings) / (time.process_time() - start)
    mean, first = judge(vectors, owners)
    powered = np.sqrt(np.maximum(vectors, 0))
    rooted, _ = judge(powered / np.linalg.norm(powered, axis=1, keepdims=True), owners)
    size = encoder.manifest.dimension
    print(f"| {name:52s} | {size:5d} | {mean:.3f} | {first:.3f} | {rooted:.3f} | {rate:4.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(os.environ["LINEWORK_DATA"]) / "ldraw-views"
    drawings, owners = read(folder, options.objects, options.seed)
    print(f"{len(drawings)} drawings of {options.objects} objects, seed {options.seed}\n")
    print("| variant | dimension | mAP | Acc@1 | mAP, square roots | drawings/s |\n|---|---|---|---|---|---|")
    for name, parameters in variants().items():
        row(name, parameters, drawings, owners)


if __name__ == "__main__":
    main()
