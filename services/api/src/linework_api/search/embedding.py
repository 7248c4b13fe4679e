"""Vectors for a search, without a thread or a connection that waits for the embedder.

A search runs with the vectors that are there (`Recalled`). Where one is missing it ends, with nothing written; the
embedder is asked, and the search begins anew. Most searches need none or learn at their first statement what they need.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from linework_api.auth import Caller
from linework_api.embedder_client import Vectors
from linework_api.state import Resources, SearchResources
from linework_core.errors import Unavailable

T = TypeVar("T")
Kind = Literal["drawings", "texts"]
ROUNDS = 8  # pictures, liked and disliked drawings, words; and an encoder that is replaced meanwhile


class NotEmbedded(Exception):
    """What the search needs vectors of before it can go on."""

    def __init__(self, kind: Kind, items: list[bytes] | list[str], encoder: str) -> None:
        super().__init__(f"{len(items)} {kind}")
        self.kind = kind
        self.items = items
        self.encoder = encoder


class Recalled:
    """An embedder that knows what was embedded for this search, and asks nobody."""

    def __init__(self) -> None:
        self._vectors: dict[Hashable, NDArray[np.float32]] = {}

    def embed_drawings(self, derivatives: list[bytes], encoder: str) -> Vectors:
        """Unit vectors (n, d). Raises NotEmbedded."""
        return self._recall("drawings", derivatives, encoder)

    def embed_texts(self, texts: list[str], encoder: str) -> Vectors:
        """Unit vectors (n, d). Raises NotEmbedded."""
        return self._recall("texts", texts, encoder)

    def add(self, missing: NotEmbedded, vectors: Vectors) -> None:
        """Remember what the embedder gave."""
        keys = ((missing.kind, missing.encoder, item) for item in missing.items)
        self._vectors.update(zip(keys, vectors, strict=True))

    def _recall(self, kind: Kind, items: list[bytes] | list[str], encoder: str) -> Vectors:
        keys: list[Hashable] = [(kind, encoder, item) for item in items]
        if not all(key in self._vectors for key in keys):
            raise NotEmbedded(kind, items, encoder)
        return np.stack([self._vectors[key] for key in keys])


async def searched(
    resources: Resources,
    caller: Caller,
    search: Callable[[SearchResources], T],
    left: Callable[[], Awaitable[bool]] | None = None,
) -> T:
    """What the search returns, run in a place of the database as often as it learns what it needs embedded."""
    recalled = Recalled()
    own = dataclasses.replace(resources, embedder=recalled)
    for _ in range(ROUNDS):
        try:
            return await resources.database.run(caller.name, partial(search, own), left=left)
        except NotEmbedded as missing:
            vectors = await resources.online.embed(caller.name, missing.kind, missing.items, missing.encoder)
            recalled.add(missing, vectors)
    raise Unavailable("The active index changes too often to search it.", retry_after=2)
