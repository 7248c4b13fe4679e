"""The texts' features under a frozen tower: computed once, kept in a file."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from linework_trainer.data.labels import Ints
from linework_vision.identity import hash_of
from linework_vision.text_tower import TextTower

AT_ONCE = 4096  # texts between two looks whether to go on
Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextData:
    """The texts of n drawings: those of drawing i are features[ids[offsets[i]:offsets[i + 1]]], at least one."""

    features: Features  # (m, d), rows of unit length, one for each different text
    ids: Ints
    offsets: Ints  # (n + 1,)

    def draw(self, drawings: Ints, chances: NDArray[np.float64]) -> NDArray[np.float32]:
        """One text of each drawing (k, d), by chances in [0, 1)."""
        first, last = self.offsets[drawings], self.offsets[drawings + 1]
        return self.features[self.ids[first + (chances * (last - first)).astype(np.int64)]]


def cached_features(
    folder: Path, texts: Sequence[Sequence[str]], tower: TextTower, between: Callable[[], None] = lambda: None
) -> tuple[Path, Ints, Ints]:
    """The file of features, made where it is missing, and ids and offsets of TextData. `between` may raise, to stop."""
    # by length, so that texts which go through the tower together need little padding
    unique = sorted({text for own in texts for text in own}, key=lambda text: (len(text), text))
    digest = hashlib.sha256()
    for text in unique:
        digest.update(text.encode("utf-8", "replace") + b"\0")
    file = folder / f"{hash_of({'tower': tower.ref.hash, 'texts': digest.hexdigest()})}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        draft = folder / f".{file.stem}.{uuid4().hex[:8]}.npy"
        try:
            np.save(draft, _encode(unique, tower, between))
            draft.rename(file)
        finally:
            draft.unlink(missing_ok=True)
    os.utime(file)
    number = {text: place for place, text in enumerate(unique)}
    ids = np.array([number[text] for own in texts for text in own], dtype=np.int64)
    return file, ids, np.cumsum([0, *map(len, texts)], dtype=np.int64)


def _encode(texts: list[str], tower: TextTower, between: Callable[[], None]) -> Features:
    features = np.empty((len(texts), tower.ref.dimension), dtype=np.float32)
    for start in range(0, len(texts), AT_ONCE):
        between()
        features[start : start + AT_ONCE] = tower.encode(texts[start : start + AT_ONCE])
    return features
