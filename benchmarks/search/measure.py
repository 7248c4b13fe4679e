"""Both engines on the same queries, in turns, so that whatever else the machine does hits both."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import qdrant_edge as qe
from numpy.typing import NDArray
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks.search import qdrant
from benchmarks.search.cells import Cell
from benchmarks.search.corpus import class_name, week_of
from linework_api.search import ranking
from linework_core import nearest
from linework_core.scope import Scope
from linework_core.tables import Encoder

EFS = (64, 96, 128, 192, 256, 384, 512)
DEPTHS = (10, 100)  # k
EQUAL = 0.001  # recalls that differ by less are taken for equal
WARM_UP = 5
ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    """Times in milliseconds over the queries of a cell, and their mean recall."""

    recall: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Result:
    """One cell and k. `qdrant` is its cheapest ef of a recall equal to ours, or the best where none has it.

    It is None where Qdrant was not asked.
    """

    filter: str
    share: float
    passing: int
    k: int
    way: str
    floor: float  # p50 of SELECT 1
    ours: Timed
    qdrant: Timed | None = None
    ef: int = 0
    reached: bool = False

    @property
    def ratio(self) -> float | None:
        return max(self.ours.p50 - self.floor, 0.0) / self.qdrant.p50 if self.qdrant else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


def scope_of(cell: Cell) -> Scope:
    before = None if cell.cut is None else week_of(cell.cut)
    return Scope(1, before=before, locarno=() if cell.class_number is None else (class_name(cell.class_number),))


def one_client(url: str, encoder: Encoder, shard: qe.EdgeShard | None, cell: Cell, k: int) -> Result:
    """All queries by `SELECT 1`, by Postgres and by Qdrant at every ef; three rounds, each query's quickest counts."""
    engine = create_engine(url)
    nearest.tune(engine)
    ways: list[str] = []
    with Session(engine) as session:
        scope, cursor = scope_of(cell), nearest.cursor(session.connection())

        def ours(vector: NDArray[np.float32]) -> list[int]:
            ranked = ranking.rank(session, encoder, vector[None], scope, k)
            ways.append(f"{ranked.plan.graph.index} ef {ranked.plan.ef}" if ranked.plan.graph else "scan")
            return [found.drawing_row - 1 for found in ranked.found]

        def of_qdrant(ef: int, shard: qe.EdgeShard) -> Callable[[Any], list[int]]:
            return lambda plain: qdrant.search(shard, plain, cell.cut, cell.class_number, k, ef)

        plain = [query.tolist() for query in cell.queries]
        contenders: dict[Any, tuple[Callable[[Any], Any], Any]] = {
            "floor": (lambda _: cursor.execute("SELECT 1", prepare=True).fetchall(), plain),
            "ours": (ours, cell.queries),
            **({ef: (of_qdrant(ef, shard), plain) for ef in EFS} if shard else {}),
        }
        rounds = [{who: _round(*contender) for who, contender in contenders.items()} for _ in range(ROUNDS)]
    engine.dispose()
    times = {who: np.min([one[who][0] for one in rounds], axis=0) for who in contenders}
    least = cell.least(k)
    recalls = {who: cell.recall(found, k, least) for who, (_, found) in rounds[0].items() if who != "floor"}
    timed = {who: _summary(times[who], recall) for who, recall in recalls.items()}
    way = max(set(ways), key=ways.count)
    floor = float(np.median(times["floor"]))
    result = Result(cell.label, cell.share, cell.passing, k, way, floor, timed["ours"])
    if shard is None:
        return result
    ef, reached = _cheapest(timed, timed["ours"].recall - EQUAL)
    return replace(result, qdrant=timed[ef], ef=ef, reached=reached)


def _round(search: Callable[[Any], Any], queries: Any) -> tuple[list[float], list[Any]]:
    for query in queries[:WARM_UP]:
        search(query)
    answers = [_timed(partial(search, query)) for query in queries]
    return [took for _, took in answers], [found for found, _ in answers]


def _timed(search: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    found = search()
    return found, 1_000 * (time.perf_counter() - started)


def _summary(times: NDArray[np.float64], recall: float) -> Timed:
    p50, p95, p99 = np.quantile(times, (0.5, 0.95, 0.99))
    return Timed(recall, float(p50), float(p95), float(p99))


def _cheapest(timed: dict[Any, Timed], recall: float) -> tuple[int, bool]:
    reaching = [ef for ef in EFS if timed[ef].recall >= recall]
    if reaching:
        return min(reaching, key=lambda ef: timed[ef].p50), True
    return max(EFS, key=lambda ef: timed[ef].recall), False


def eight_clients(url: str, encoder: Encoder, shard: qe.EdgeShard, cell: Cell, k: int, ef: int) -> dict[str, Any]:
    """Queries a second with eight connections (processes), and with eight threads on Qdrant's engine."""
    return {
        "filter": cell.label, "share": cell.share, "k": k,
        "ours": _ours_at_once(url, encoder, cell, k), "qdrant": _qdrant_at_once(shard, cell, k, ef),
    }  # fmt: skip


CLIENTS, SECONDS = 8, 2.0


def _ours_at_once(url: str, encoder: Encoder, cell: Cell, k: int) -> dict[str, float]:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(CLIENTS), context.Queue()
    arguments = (url, encoder, scope_of(cell), cell.queries, k, barrier, answers)
    clients = [context.Process(target=_client, args=(number, *arguments)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    times = np.concatenate([answers.get() for _ in clients])
    for client in clients:
        client.join()
    return _throughput(times)


def _client(
    number: int, url: str, encoder: Encoder, scope: Scope, queries: NDArray[np.float32], k: int, barrier: Any,
    answers: Any,
) -> None:  # fmt: skip
    engine = create_engine(url)
    nearest.tune(engine)
    with Session(engine) as session:
        for vector in queries[:WARM_UP]:
            ranking.rank(session, encoder, vector[None], scope, k)
        barrier.wait()
        answers.put(_for_a_while(lambda v: ranking.rank(session, encoder, v[None], scope, k), queries, number))


def _qdrant_at_once(shard: qe.EdgeShard, cell: Cell, k: int, ef: int) -> dict[str, float]:
    plain = [query.tolist() for query in cell.queries]
    times: list[NDArray[np.float64]] = []

    def client(number: int) -> None:
        times.append(_for_a_while(lambda v: qdrant.search(shard, v, cell.cut, cell.class_number, k, ef), plain, number))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _throughput(np.concatenate(times))


def _for_a_while(search: Callable[[Any], Any], queries: Any, first: int) -> NDArray[np.float64]:
    times, number, end = [], first, time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        search(queries[number % len(queries)])
        times.append(1_000 * (time.perf_counter() - started))
        number += 1
    return np.array(times)


def _throughput(times: NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.quantile(times, (0.5, 0.99))
    return {"per_s": len(times) / SECONDS, "p50": float(p50), "p99": float(p99)}
