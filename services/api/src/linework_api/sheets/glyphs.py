"""Reading one printed sign: a small network over signs of one size (benchmarks/sheet_glyphs.py trains it)."""

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
JUNK = "~"  # every other sign, and pieces of drawings
SIGNS = "0123456789ABCDEFGHIigabde" + JUNK  # 'i' is its stem alone
# What a sign in the number of a figure may look like: a bare stroke is a 1 there
LOOKS = {"1": "1Ii", "A": "Aa", "B": "Bb", "D": "Dd", "E": "Ee"}
Floats = NDArray[np.float32]


def normalised(ink: NDArray[np.uint8]) -> Floats:
    """The features (SIDE * SIDE + 1) of a sign cut to its ink, 255 where black: centred, with its shape kept, and how
    wide it is for its height.
    """
    height, width = ink.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    drawn = np.zeros((SIDE, SIDE), dtype=np.float32)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    resized = Image.fromarray(ink).resize(size, Image.Resampling.BILINEAR)
    drawn[top : top + size[1], left : left + size[0]] = np.asarray(resized, dtype=np.float32) / 255
    return np.append(drawn.ravel(), np.float32(min(width / height, 2.0)))


@cache
def _network() -> tuple[Floats, ...]:
    """Weights and offsets of each layer."""
    with files(__package__).joinpath("glyphs.npz").open("rb") as file, np.load(file) as stored:
        return tuple(stored[name].astype(np.float32) for name in ("w0", "b0", "w1", "b1"))


def probabilities(features: Floats) -> Floats:
    """(n, len(SIGNS)) of (n, SIDE * SIDE + 1): how likely each is each sign."""
    w0, b0, w1, b1 = _network()
    scores = np.maximum(features @ w0 + b0, 0) @ w1 + b1
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)


def likelihood(sign: str, shares: Floats) -> float:
    """How likely a sign with these probabilities (len(SIGNS)) is this character of a figure's number."""
    return float(sum(shares[SIGNS.index(look)] for look in LOOKS.get(sign, sign)))
