"""The interface of every encoder, and the promises that it keeps whatever the model does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linework_core.manifest import EncoderManifest
from linework_vision.errors import NoTextTower, NotFinite

Picture = NDArray[Any]  # one preprocessed drawing: what `preprocess` of this encoder gives
Vectors = NDArray[np.float32]  # (n, dimension), each row of length 1


class Encoder(ABC):
    """Maps drawings, and texts where it has a text tower, to unit vectors of its own dimension.

    The work comes in two steps, so that a service can do the first in many threads and the second in one:
    `preprocess` is CPU work on one drawing and may run in any thread; `encode_drawings` and `encode_texts`
    run the model and are called from one thread at a time.
    """

    def __init__(self, manifest: EncoderManifest) -> None:
        self.manifest = manifest

    @abstractmethod
    def preprocess(self, drawing: Image.Image) -> Picture:
        """A derivative (mode 'L', see linework_core.imaging) as the model's input. All have one shape."""

    def encode_drawings(self, batch: Sequence[Picture]) -> Vectors:
        """Preprocessed drawings to unit rows, float32 (n, dimension). Raises NotFinite."""
        return self._finish(self._drawings(np.stack(batch)) if len(batch) else None)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts to unit rows in the same space, float32 (n, dimension). Raises NoTextTower, NotFinite."""
        if not self.manifest.has_text:
            raise NoTextTower(f"The encoder {self.manifest.id} has no text tower.")
        return self._finish(self._texts(list(texts)) if texts else None)

    @abstractmethod
    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Features (n, dimension) of stacked pictures, of any length."""

    def _texts(self, texts: list[str]) -> NDArray[Any]:
        """Features (n, dimension) of texts, of any length; encoders with a text tower have it."""
        raise NotImplementedError

    def _finish(self, features: NDArray[Any] | None) -> Vectors:
        if features is None:
            return np.empty((0, self.manifest.dimension), dtype=np.float32)
        return unit_rows(features)


def unit_rows(features: NDArray[Any]) -> Vectors:
    """Rows scaled to length 1, float32. Raises NotFinite.

    A row of zeros (a blank page under an encoder that measures ink) has no direction, and dividing by its
    length would spread NaN through an index. It becomes `blank`: the drawing keeps a vector and stays
    counted, but is like no drawing with anything on it.
    """
    rows = features.astype(np.float64)
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if broken.size:
        raise NotFinite(broken.tolist())
    rows /= np.abs(rows).max(axis=1, keepdims=True, initial=1e-30)  # keeps the squares from over- or underflow
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    nothing = lengths[:, 0] < 1e-6
    rows = rows / np.where(lengths < 1e-6, 1.0, lengths)
    rows[nothing] = blank(rows.shape[1])
    return rows.astype(np.float32)


def blank(dimension: int) -> NDArray[np.float64]:
    """The unit vector of a drawing without any feature: it points away from all vectors that are not negative."""
    return np.full(dimension, -1.0 / np.sqrt(dimension))
