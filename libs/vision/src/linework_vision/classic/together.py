"""HOG, LBP and SIFT Fisher vectors as one vector: `classic`, the best that we found without training.

Each sees what the others overlook: HOG where outlines run, LBP how lines are drawn, the Fisher vector which pieces a
drawing is made of, wherever they stand. Similarities are added, each divided by its spread among other drawings, since
those of LBP lie within a few hundredths. Fisher vectors take in what patches look like in the mirror, as this HOG does,
for opposite views of an object have mirrored outlines; LBP does so by itself. Figures: docs/benchmarks/descriptors.md.
"""

from typing import ClassVar

import numpy as np
from PIL import Image

from linework_vision import hog
from linework_vision.classic.descriptor import Descriptor, Features
from linework_vision.classic.lbp import Lbp
from linework_vision.classic.sift_fv import SiftFv
from linework_vision.encoder import unit_rows
from linework_vision.hog import HogParameters
from linework_vision.identity import Weights


class Classic(Descriptor):
    """Its similarity is the weighted mean of its parts' similarities; its dimension the sum of theirs."""

    name: ClassVar[str] = "classic"
    library: ClassVar[str] = "scikit-image"

    hog: HogParameters = HogParameters()
    lbp: Lbp = Lbp()
    sift_fv: SiftFv = SiftFv(mirrors=True)
    # of hog, lbp and sift_fv, measured by benchmarks/descriptors.py
    spreads: tuple[float, float, float] = (0.211, 0.0235, 0.202)

    def describe(self, drawing: Image.Image) -> Features:
        parts = hog.describe(drawing, self.hog), self.lbp.describe(drawing), self.sift_fv.describe(drawing)
        shares = 1 / np.array(self.spreads)
        roots = np.sqrt(shares / shares.sum())
        joined = [root * unit_rows(part[None])[0] for root, part in zip(roots, parts, strict=True)]
        return np.concatenate(joined).astype(np.float32)

    def weights(self) -> Weights:
        return self.sift_fv.weights()
