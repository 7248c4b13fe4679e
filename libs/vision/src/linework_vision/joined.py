"""A trained network and classic descriptors as one encoder: each sees what the others overlook.

A network that was trained on little learns what designs look like, but not all that a descriptor sees in any drawing,
such as how its lines are drawn. Their similarities are added, each divided by its spread among other drawings, as in
`classic` (classic.together).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linework_core.manifest import EncoderManifest
from linework_vision import hog
from linework_vision.classic.lbp import Lbp
from linework_vision.encoder import Encoder, Picture, unit_rows
from linework_vision.errors import BadSpec
from linework_vision.hog import HogParameters
from linework_vision.torch_encoder import TorchEncoder


@dataclass(frozen=True, slots=True)
class Part:
    """A descriptor: what it gives of a derivative, float32 (dimension,), and all that this depends on."""

    describe: Callable[[Image.Image], NDArray[np.float32]]
    parameters: Mapping[str, Any]
    dimension: int


def part(name: str) -> Part:
    """The descriptor of that name. Raises BadSpec."""
    blank = Image.new("L", (64, 64), 255)
    if name == "hog":
        parameters = HogParameters()
        return Part(
            lambda drawing: hog.describe(drawing, parameters), parameters.model_dump(mode="json"),
            hog.describe(blank, parameters).size,
        )  # fmt: skip
    if name == "lbp":
        lbp = Lbp()
        return Part(lbp.describe, lbp.model_dump(mode="json"), lbp.describe(blank).size)
    raise BadSpec(f"'{name}' is no descriptor that can stand beside a network; 'hog' and 'lbp' can.")


class JoinedEncoder(Encoder):
    """The network's vector and those of the parts, one after another.

    Its similarity is the weighted mean of theirs. A text has nothing to say to the parts: it is compared with what the
    network sees alone.
    """

    def __init__(
        self, manifest: EncoderManifest, net: TorchEncoder, parts: Mapping[str, Part], spreads: Mapping[str, float]
    ) -> None:
        """`spreads` of the parts by their names, and of the network as 'net'."""
        super().__init__(manifest)
        self._net, self._parts = net, list(parts.values())
        shares = 1 / np.array([spreads["net"], *(spreads[name] for name in parts)])
        self._roots = np.sqrt(shares / shares.sum())
        self._shape = (net.preprocessing.height, net.preprocessing.width)

    def preprocess(self, drawing: Image.Image) -> Picture:
        """Bytes: the network's greys, then the parts' features as float32."""
        greys = self._net.preprocess(drawing)
        features = [unit_rows(one.describe(drawing)[None])[0] for one in self._parts]
        return np.concatenate([greys.ravel(), np.concatenate(features).view(np.uint8)])

    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        pixels = self._shape[0] * self._shape[1]
        seen = unit_rows(self._net._drawings(np.ascontiguousarray(batch[:, :pixels]).reshape(-1, *self._shape)))
        features = np.ascontiguousarray(batch[:, pixels:]).view(np.float32)
        ends = np.cumsum([one.dimension for one in self._parts])
        split = np.split(features, ends[:-1], axis=1)
        return np.concatenate([root * one for root, one in zip(self._roots, [seen, *split], strict=True)], axis=1)

    def _texts(self, texts: list[str]) -> NDArray[Any]:
        said = unit_rows(self._net._texts(texts))
        rest = self.manifest.dimension - said.shape[1]
        return np.pad(said, ((0, 0), (0, rest)))
