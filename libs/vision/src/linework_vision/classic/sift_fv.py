"""SIFT Fisher vectors (Perronnin, Sánchez and Mensink, ECCV 2010; for patent images Csurka, Renders and Jacquet, 2011).

SIFT descriptors of patches on a grid, at several sizes, are reduced by PCA. A mixture of Gaussians, the codebook, says
how such descriptors are distributed in general; the Fisher vector says in which direction its weights, means and
variances would have to move to fit those of this one drawing. Signed square roots, then length 1.

Against the papers: 16 Gaussians of 64 dimensions where Perronnin has 256, since a vector must fit in a row of the index
(2,064 numbers, not 32,768); 28 Gaussians found hardly more on line drawings. The codebook is learned on drawings of the
sample office (benchmarks/sift_codebook.py), not on the corpus that is searched; its digest is part of the encoder's
identity.

The numbers are signed, so the vector of a blank drawing is near to no other, but not on the far side of all of them.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from safetensors.numpy import load_file, save_file
from skimage.feature import fisher_vector
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from linework_vision.classic.dense_sift import dense_sift, with_mirrored
from linework_vision.classic.descriptor import Descriptor, Features
from linework_vision.identity import Weights
from linework_vision.pictures import WHITE, crop_to_ink, fit_on_white

FILE = "sift_codebook.safetensors"


@dataclass(frozen=True, slots=True)
class Codebook:
    """What was learned, float32: a PCA of descriptors, and a mixture of K Gaussians in its d dimensions."""

    mean: NDArray[np.float32]  # (128,)
    axes: NDArray[np.float32]  # (d, 128)
    weights: NDArray[np.float32]  # (K,)
    means: NDArray[np.float32]  # (K, d)
    variances: NDArray[np.float32]  # (K, d)

    @classmethod
    def learn(cls, descriptors: NDArray[np.float32], *, gaussians: int, dimension: int, seed: int) -> Self:
        """Of descriptors (n, 128) of many drawings."""
        pca = PCA(dimension, random_state=seed).fit(descriptors)
        mixture = GaussianMixture(gaussians, covariance_type="diag", random_state=seed, max_iter=200)
        mixture.fit(pca.transform(descriptors))
        learned = (pca.mean_, pca.components_, mixture.weights_, mixture.means_, mixture.covariances_)
        return cls(*(np.asarray(array, dtype=np.float32) for array in learned))

    @classmethod
    def read(cls, file: Path) -> Self:
        return cls(**load_file(file))

    def write(self, file: Path) -> None:
        save_file(self.arrays(), file)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.__slots__}

    def mixture(self) -> GaussianMixture:
        """As scikit-learn has it."""
        mixture = GaussianMixture(len(self.weights), covariance_type="diag")
        weights = self.weights.astype(np.float64)
        mixture.weights_ = weights / weights.sum()
        mixture.means_, mixture.covariances_ = self.means.astype(np.float64), self.variances.astype(np.float64)
        mixture.precisions_cholesky_ = 1 / np.sqrt(mixture.covariances_)
        return mixture

    def describe(self, descriptors: NDArray[np.float32]) -> Features:
        """The Fisher vector of one drawing's descriptors; zeros if it has none."""
        count, dimension = self.means.shape
        if not len(descriptors):
            return np.zeros(count * (2 * dimension + 1), dtype=np.float32)
        reduced = (descriptors - self.mean).astype(np.float64) @ self.axes.T
        return np.asarray(fisher_vector(reduced, self.mixture(), improved=True), dtype=np.float32)


@cache
def shipped() -> Codebook:
    """The codebook that comes with this package."""
    with as_file(files("linework_vision.classic") / FILE) as file:
        return Codebook.read(file)


class SiftFv(Descriptor):
    """Its dimension is K · (2 d + 1)."""

    name: ClassVar[str] = "sift-fv"
    library: ClassVar[str] = "scikit-image"

    side: int = Field(192, gt=0)  # pixels of the square that a drawing is fitted in
    margin: float = Field(0.05, ge=0, lt=0.5)  # free on each side, as a fraction of `side`
    cells: tuple[int, ...] = (4, 6, 8, 12)  # pixels; a patch has 4 x 4
    step: int = Field(6, gt=0)  # pixels from patch to patch
    mirrors: bool = False  # also what patches are in the mirror: opposite views of an object have mirrored outlines

    def local(self, drawing: Image.Image) -> NDArray[np.float32]:
        """SIFT descriptors (n, 128)."""
        fitted = fit_on_white(crop_to_ink(drawing), self.side, self.side, Image.Resampling.LANCZOS, margin=self.margin)
        return dense_sift(1 - np.asarray(fitted, dtype=np.float32) / np.float32(WHITE), self.cells, self.step)

    def describe(self, drawing: Image.Image) -> Features:
        local = self.local(drawing)
        return shipped().describe(with_mirrored(local) if self.mirrors else local)

    def weights(self) -> Weights:
        return shipped().arrays()
