"""Who an encoder is: a SHA-256 over all that its vectors depend on (design, rule 6)."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linework_core import imaging
from linework_core.manifest import EncoderManifest

Weights = Mapping[str, NDArray[Any]]


def make_manifest(
    *,
    name: str,
    spec: str,
    dimension: int,
    precision: str,
    recipe: Mapping[str, Any],
    weights: str,
    has_text: bool = False,
) -> EncoderManifest:
    """The manifest of an encoder. `recipe` is its preprocessing and architecture in plain JSON; `weights` is
    a digest of its weights (see `digest_of`).
    """
    detail = {
        "recipe": dict(recipe),
        "derivative": imaging.RECIPE,
        "precision": precision,
        "weights": weights,
    }
    content = hash_of({**detail, "dimension": dimension, "has_text": has_text})
    return EncoderManifest(
        id=f"{slug(name)}-{content[:12]}",
        name=name,
        spec=spec,
        content_hash=content,
        dimension=dimension,
        has_text=has_text,
        detail=detail,
    )


def digest_of(weights: Weights) -> str:
    """SHA-256 over arrays in the order of their names: name, type, shape and bytes of each."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(_canonical([name, array.dtype.str, list(array.shape)]))
        digest.update(array.data)
    return digest.hexdigest()


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 over plain JSON, whatever the order of its keys."""
    return hashlib.sha256(_canonical(value)).hexdigest()


def slug(name: str) -> str:
    """A name as it may stand in an id and a URL."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
