"""An encoder without a model, for tests of everything around it: `debug:DIMENSION[;text=true][;delay_ms=N]`."""

import hashlib
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec
from linework_vision.identity import make_manifest
from linework_vision.spec import Spec


class DebugEncoder(Encoder):
    """Equal pictures (or texts) have equal vectors, others unrelated ones. Each call takes `delay_ms`."""

    delay_ms: int = 0

    def preprocess(self, drawing: Image.Image) -> NDArray[np.uint8]:
        content = f"{drawing.size}".encode() + drawing.tobytes()
        return np.frombuffer(hashlib.sha256(content).digest(), dtype=np.uint8)

    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        time.sleep(self.delay_ms / 1000)
        return np.stack([self._random(row.tobytes()) for row in batch])

    def _texts(self, texts: list[str]) -> NDArray[Any]:
        time.sleep(self.delay_ms / 1000)
        return np.stack([self._random(text.encode()) for text in texts])

    def _random(self, content: bytes) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(self.manifest.dimension)


def load_debug(spec: Spec) -> Encoder:
    """Raises BadSpec."""
    spec.allow(("delay_ms", "text"))
    if not (spec.name.isascii() and spec.name.isdecimal() and len(spec.name) <= 4 and 0 < int(spec.name) <= 4000):
        raise BadSpec("A debug encoder is named by its dimension, from 1 to 4000: debug:16")
    manifest = make_manifest(
        name=f"debug {spec.name}",
        spec=spec.text,
        dimension=int(spec.name),
        precision="fp32",
        recipe={"library": "debug"},
        weights="",
        has_text=spec.flag("text", default=False),
    )
    encoder = DebugEncoder(manifest)
    encoder.delay_ms = spec.integer("delay_ms", default=0, most=60_000)
    return encoder
