"""Learn the codebook of the encoder `sift-fv` from drawings of the sample office, and write it where it is shipped.

    python benchmarks/sift_codebook.py [--designs 150] [--seed 1]

Each figure of each design is a drawing, without its label. Equal arguments give an equal codebook on equal libraries.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from linework_core.imaging import to_derivative
from linework_office import sheets
from linework_office.office import plan
from linework_vision.classic import sift_fv
from linework_vision.classic.sift_fv import Codebook, SiftFv

EACH = 150  # descriptors of one drawing at the most, so that large ones do not decide


def drawings(designs: int, seed: int, size: float) -> Iterator[Image.Image]:
    """Derivatives of all figures."""
    for design in plan(designs, seed):
        for sheet in sheets.draw(design, size)[1:]:
            for _, (left, top, right, bottom) in sheet.figures:
                yield to_derivative(Image.fromarray(~sheet.ink[top:bottom, left:right]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=float, default=0.5, help="share of the full page size")
    parser.add_argument("--gaussians", type=int, default=16)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path(sift_fv.__file__).with_name(sift_fv.FILE))
    options = parser.parse_args()
    dice, descriptor, found = np.random.default_rng(options.seed), SiftFv(), []
    for drawing in drawings(options.designs, options.seed, options.size):
        local = descriptor.local(drawing)
        found.append(local[dice.permutation(len(local))[:EACH]])
    book = Codebook.learn(
        np.concatenate(found), gaussians=options.gaussians, dimension=options.dimension, seed=options.seed
    )
    book.write(options.out)
    print(f"{len(found)} drawings, {sum(map(len, found)):,} descriptors: {options.out}")


if __name__ == "__main__":
    main()
