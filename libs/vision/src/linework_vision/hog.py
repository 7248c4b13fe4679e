"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), the encoder that needs no weights.

Its parameters were chosen on line drawings of objects seen from several sides (benchmarks/hog_variants.py).
What helps is what makes thin lines comparable: cropping to the ink, a small picture, a blur that widens the
lines, and summing over mirror images, since opposite views of an object (front and rear, left and right,
top and bottom) have mirrored outlines. The vector so forgets handedness; that is the price.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field
from skimage.feature import hog

from linework_core.manifest import EncoderManifest
from linework_vision.encoder import Encoder
from linework_vision.identity import digest_of, make_manifest
from linework_vision.pictures import crop_to_ink, fit_on_white
from linework_vision.spec import Spec


class HogParameters(BaseModel):
    """What a HOG vector depends on; its dimension is orientations · (side / cell)² for single-cell blocks.

    scikit-image is not part of the identity, since its HOG has been the same for years; a test holds a
    vector fast, and whoever sees it fail raises `version`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    side: int = Field(96, gt=0)  # pixels of the square that a drawing is fitted in
    margin: float = Field(0.1, ge=0, lt=0.5)  # free on each side, as a fraction of `side`
    blur: float = Field(1.5, ge=0)  # standard deviation in pixels
    orientations: int = Field(8, gt=0)
    cell: int = Field(12, gt=0)
    block: int = Field(1, gt=0)
    block_norm: Literal["L1", "L1-sqrt", "L2", "L2-Hys"] = "L2"
    mirrors: Literal["none", "horizontal", "both"] = "both"


class HogEncoder(Encoder):
    """All the work is in `preprocess`, for there is no model to wait for."""

    def __init__(self, manifest: EncoderManifest, parameters: HogParameters) -> None:
        super().__init__(manifest)
        self.parameters = parameters

    def preprocess(self, drawing: Image.Image) -> NDArray[np.float32]:
        """Features, float32 (dimension,), none of them negative."""
        return describe(drawing, self.parameters)

    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        return batch


def describe(drawing: Image.Image, parameters: HogParameters) -> NDArray[np.float32]:
    """The features of a derivative, float32 (dimension,), of any length; zeros for a blank one."""
    canvas = fit_on_white(
        crop_to_ink(drawing), parameters.side, parameters.side, Image.Resampling.LANCZOS, margin=parameters.margin
    )
    blurred = canvas.filter(ImageFilter.GaussianBlur(parameters.blur))
    picture = np.asarray(blurred, dtype=np.float32) / np.float32(255)
    histograms = [_histograms(mirrored, parameters) for mirrored in _mirrored(picture, parameters)]
    return np.asarray(np.sum(histograms, axis=0), dtype=np.float32)


def _mirrored(picture: NDArray[np.float32], parameters: HogParameters) -> Iterator[NDArray[np.float32]]:
    yield picture
    if parameters.mirrors != "none":
        yield picture[:, ::-1]
    if parameters.mirrors == "both":
        yield picture[::-1]
        yield picture[::-1, ::-1]


def _histograms(picture: NDArray[np.float32], parameters: HogParameters) -> NDArray[np.float32]:
    features: NDArray[np.float32] = hog(
        picture,
        orientations=parameters.orientations,
        pixels_per_cell=(parameters.cell, parameters.cell),
        cells_per_block=(parameters.block, parameters.block),
        block_norm=parameters.block_norm,
    )
    return features


def load_hog(spec: Spec) -> Encoder:
    """Raises BadSpec: the default encoder has one form and no options."""
    spec.allow(())
    return make_hog(HogParameters(), spec.text)


def make_hog(parameters: HogParameters, spec: str = "hog") -> HogEncoder:
    """A HOG encoder of any parameters, for experiments; services use the default ones."""
    dimension = describe(Image.new("L", (parameters.side, parameters.side), 255), parameters).size
    manifest = make_manifest(
        name="hog",
        spec=spec,
        dimension=dimension,
        precision="fp32",
        recipe={"library": "scikit-image", "architecture": "hog", "preprocessing": parameters.model_dump()},
        weights=digest_of({}),
    )
    return HogEncoder(manifest, parameters)
