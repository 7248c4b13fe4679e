"""What is looked for: pictures, words, and what was liked among earlier hits.

The score of a drawing d, by which everything here is ranked:

    image(d) = max over the query's pictures p of cos(p, d)
    text(d)  = words(d)                                     with an encoder that has no text tower
             = (words(d) + (cos(t, d) + cos(t, v)) / 2) / 2 with one; t is the text's vector, v that of d's
                                                            descriptions, and d itself while it has none
    score(d) = (w_image image(d) + w_text text(d)) / (w_image + w_text)

where words(d) in [0, 1) is the full-text rank of d's own words and its descriptions' (words.py). A query without
pictures has w_image = 0, one without text w_text = 0. Several pictures of one design are joined by their maximum: a
hit shows the design from one side, and is compared with the query's picture from that side.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# Rocchio's rule (Salton and Buckley 1990): liked drawings pull three times as hard as disliked ones push
LIKE, UNLIKE = 0.75, 0.25


@dataclass(frozen=True, slots=True)
class Target:
    """A query as it is ranked by. `vectors` (m, d) and `text_vector` (d,) are unit vectors."""

    vectors: Vectors | None
    text: str | None = None
    text_vector: Vectors | None = None
    image_weight: float = 1.0
    text_weight: float = 0.0

    @classmethod
    def of(
        cls, vectors: Vectors | None, text: str | None, text_vector: Vectors | None, weights: tuple[float, float]
    ) -> "Target":
        """Weights are made to add up to 1; a part that is missing has none."""
        image, words = (weights[0] if vectors is not None else 0.0), (weights[1] if text is not None else 0.0)
        if image + words == 0:  # the only part that is there was given no weight
            image, words = float(vectors is not None), float(vectors is None)
        total = image + words
        return cls(vectors, text, text_vector, image / total, words / total)

    @property
    def pictures_only(self) -> bool:
        return self.text is None or self.text_weight == 0

    def as_json(self) -> dict[str, Any]:
        """For the record, all but the vectors."""
        return {"text": self.text, "image_weight": self.image_weight, "text_weight": self.text_weight}

    def vectors_as_bytes(self) -> bytes | None:
        """All vectors, the text's last, as little-endian float32."""
        parts = [part for part in (self.vectors, self.text_vector) if part is not None]
        return np.vstack(parts).astype("<f4").tobytes() if parts else None

    @classmethod
    def from_record(cls, kept: dict[str, Any], data: bytes | None, dimension: int, has_text: bool) -> "Target":
        """The target that a record was made from."""
        vectors = np.frombuffer(data or b"", "<f4").reshape(-1, dimension)
        text_vector = vectors[-1] if kept["text"] is not None and has_text else None
        pictures = vectors[:-1] if text_vector is not None else vectors
        return cls(
            pictures if len(pictures) else None, kept["text"], text_vector, kept["image_weight"], kept["text_weight"]
        )


def moved(vectors: Vectors | None, liked: Vectors, disliked: Vectors) -> Vectors | None:
    """The query's vectors (m, d) after feedback: towards the mean of what was liked, away from what was not.

    Without pictures what was liked is the query. Rows are unit vectors.
    """
    if not len(liked) and not len(disliked):
        return vectors
    if vectors is None:
        if not len(liked):
            return None
        vectors = liked.mean(axis=0, keepdims=True)
    shift = np.zeros(vectors.shape[1], np.float32)
    if len(liked):
        shift += LIKE * liked.mean(axis=0)
    if len(disliked):
        shift -= UNLIKE * disliked.mean(axis=0)
    changed = vectors + shift
    norms = np.linalg.norm(changed, axis=1, keepdims=True)
    return np.asarray(np.where(norms > 1e-6, changed / np.maximum(norms, 1e-6), vectors), np.float32)
