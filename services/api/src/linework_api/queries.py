"""A query parameter counts once."""

from collections import Counter

from fastapi import Request

from linework_core.errors import Unprocessable

REPEATABLE = frozenset({"locarno", "office", "view", "exclude", "facets", "like", "unlike"})


async def each_once(request: Request) -> None:
    """Raises Unprocessable where `before` and the like come twice: the framework would take the last silently."""
    counts = Counter(name for name, _ in request.query_params.multi_items() if name not in REPEATABLE)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise Unprocessable(f"Given more than once: {', '.join(repeated)}.")
