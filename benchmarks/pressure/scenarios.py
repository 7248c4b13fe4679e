"""Who does what at once: what the heavy caller does, and the call that the light caller repeats meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import httpx

from benchmarks.pressure import corpus, loads
from benchmarks.pressure.calls import Act, Ask, Call, asking
from benchmarks.pressure.target import Target

Load = Callable[[Target], Awaitable[list[Call]]]
READS = 150


@dataclass(frozen=True, slots=True)
class Scenario:
    """`heavy` runs in a process of its own; `light` is one call, repeated while that goes on.

    A scenario that is `fresh` begins with a restarted stack, so that its peaks of memory are its own.
    """

    family: str
    title: str
    heavy: Load
    light: Callable[[Target], Act]
    fresh: bool = True


def reads(target: Target) -> dict[str, list[Ask]]:
    """The reads of each kind. 150 callers of a kind share these requests."""
    record, batch = f"/searches/{target.search_id}", f"/search/batch/{target.batch_id}"
    return {
        "GET /corpus": [Ask("/corpus")],
        "GET /patents/{id}": [Ask(f"/patents/{patent}") for patent in target.patents],
        "GET /drawings/{id}/image": [Ask(f"/drawings/{name}/image") for name in target.drawings],
        "… ?size=1024": [Ask(f"/drawings/{name}/image", params={"size": "1024"}) for name in target.drawings],
        "GET /searches/{id}": [Ask(record)],
        "… /export, CSV": [Ask(f"{record}/export", params={"format": "csv"})],
        "… /export, XLSX": [Ask(f"{record}/export", params={"format": "xlsx"})],
        "… /clusters": [Ask(f"{record}/clusters")],
        "GET /jobs": [Ask("/jobs")],
        "GET /encoders": [Ask("/encoders")],
        "GET /search?drawing=": by_drawing(target),
        "GET /search/batch/{id}/export": [Ask(f"{batch}/export")],
    }


KINDS = (
    "GET /corpus", "GET /patents/{id}", "GET /drawings/{id}/image", "… ?size=1024", "GET /searches/{id}",
    "… /export, CSV", "… /export, XLSX", "… /clusters", "GET /jobs", "GET /encoders", "GET /search?drawing=",
    "GET /search/batch/{id}/export",
)  # fmt: skip


def by_drawing(target: Target) -> list[Ask]:
    return [Ask("/search", params={"drawing": name, "limit": "10"}) for name in target.drawings]


def by_picture(target: Target) -> list[Ask]:
    return [Ask("/search", "POST", files=[("image", target.pictures.small)])]


def by_heavy_picture(target: Target) -> list[Ask]:
    """In turns a large picture with transparency, 16 bits deep, and the last of many frames."""
    pictures = target.pictures
    frames = Ask("/search", "POST", files=[("image", pictures.frames)], data={"page": str(corpus.FRAMES)})
    plain = [Ask("/search", "POST", files=[("image", path)]) for path in (pictures.transparent, pictures.deep)]
    return [*plain, frames]


def seven_huge(target: Target) -> list[Ask]:
    return [Ask("/search", "POST", files=[("image", target.pictures.huge)] * 7)]


def lightly(asks: Callable[[Target], list[Ask]]) -> Callable[[Target], Act]:
    """The light caller's call, one of these in turn."""
    return lambda target: asking(asks(target), "light")


def read_patent(target: Target) -> list[Ask]:
    return [Ask(f"/patents/{patent}") for patent in target.patents]


def read_corpus(_: Target) -> list[Ask]:
    return [Ask("/corpus")]


def ingest_one(target: Target) -> Act:
    """Ingest of a patent that is new each time, to the end of its job."""

    async def act(session: httpx.AsyncClient, number: int) -> Call:
        path = target.folder / f"one-{number}.tar"
        path.write_bytes(corpus.one_patent(number))
        return await loads.whole_job(Ask("/ingest", "POST", files=[("file", path)]), "light", session, number)

    return act


def _crowd(asks: Callable[[Target], list[Ask]], parallel: int, rounds: int = 1, key: str | None = "heavy") -> Load:
    return lambda target: loads.crowd(asking(asks(target)), parallel, rounds, target, key)


def _reading(kind: str) -> Load:
    return _crowd(lambda target: reads(target)[kind], READS)


def _hung(target: Target) -> Awaitable[list[Call]]:
    return loads.beside_hung_embedder(asking(by_picture(target)), 40, target)


def ready(_: Target) -> list[Ask]:
    return [Ask("/health/ready")]


SCENARIOS = [
    *(
        Scenario("reads", f"150 × {kind}", _reading(kind), lightly(read_patent), fresh=kind == KINDS[0])
        for kind in KINDS
    ),
    Scenario("pictures", "45 heavy pictures", _crowd(by_heavy_picture, 45), lightly(by_picture)),
    Scenario("searches", "300 searches by 100", _crowd(by_drawing, 100, 3), lightly(by_drawing)),
    Scenario("searches", "300 searches at once", _crowd(by_drawing, 300), lightly(by_drawing), fresh=False),
    Scenario("streams", "100 event streams", loads.streams, lightly(read_patent)),
    Scenario("batches", "4 batches of 600", partial(loads.batches, 4), ingest_one),
    Scenario("huge", "5 × 7 pictures of 45 MB", _crowd(seven_huge, 5), lightly(by_picture)),
    Scenario("hung", "40 pictures, the embedder hangs", _hung, lightly(read_corpus)),
    Scenario("ready", "200 × GET /health/ready", _crowd(ready, 200, key=None), lightly(by_drawing)),
    Scenario("headers", "150 half-sent headers", loads.half_sent_headers, lightly(read_corpus)),
]
FAMILIES = tuple(dict.fromkeys(scenario.family for scenario in SCENARIOS))
