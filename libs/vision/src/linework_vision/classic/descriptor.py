"""What the classic descriptors have in common: parameters that are their identity, and all work done on the CPU."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from linework_core.manifest import EncoderManifest
from linework_vision.encoder import Encoder
from linework_vision.identity import Weights, digest_of, make_manifest
from linework_vision.pictures import WHITE

Features = NDArray[np.float32]


class Descriptor(BaseModel):
    """A descriptor and all that its features depend on.

    The libraries that it is computed with are no part of the identity; a test holds a vector of each descriptor fast,
    and whoever sees it fail raises `version`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    library: ClassVar[str]

    version: int = 1

    def describe(self, drawing: Image.Image) -> Features:
        """The features of a derivative, float32 (dimension,), of any length; zeros where there is nothing to see."""
        raise NotImplementedError

    def weights(self) -> Weights:
        """What was learned, by name."""
        return {}


class DescriptorEncoder(Encoder):
    """All the work is in `preprocess`, for there is no model to wait for."""

    def __init__(self, manifest: EncoderManifest, descriptor: Descriptor) -> None:
        super().__init__(manifest)
        self.descriptor = descriptor

    def preprocess(self, drawing: Image.Image) -> Features:
        return self.descriptor.describe(drawing)

    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        return batch


def make(descriptor: Descriptor, spec: str | None = None) -> DescriptorEncoder:
    """The encoder of a descriptor with any parameters, for experiments; services use the default ones."""
    manifest = make_manifest(
        name=descriptor.name,
        spec=spec or descriptor.name,
        dimension=descriptor.describe(Image.new("L", (64, 64), WHITE)).size,
        precision="fp32",
        recipe={
            "library": descriptor.library,
            "architecture": descriptor.name,
            "preprocessing": descriptor.model_dump(mode="json"),
        },
        weights=digest_of(descriptor.weights()),
    )
    return DescriptorEncoder(manifest, descriptor)
