"""What a cluster of hits is named by: the gateway gathers it, the enricher names it, both know it by its key."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

PICTURES = 5  # seen of a cluster at most (iPatent, 3.4)


@dataclass(frozen=True, slots=True)
class Subject:
    """All that the namer of a cluster is told.

    `pictures` are hashes of derivatives, `keywords` tell the cluster from the others, `objects` are titles of its
    designs, the commonest first, and `query` is what was searched for: words, the query's own title, classes, views.
    """

    pictures: tuple[str, ...]
    keywords: tuple[str, ...]
    objects: tuple[str, ...]
    query: dict[str, Any]

    @property
    def key(self) -> str:
        """SHA-256 over all of it: under this key the title is kept, and found by whoever asks about the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        return cls(tuple(told["pictures"]), tuple(told["keywords"]), tuple(told["objects"]), dict(told["query"]))
