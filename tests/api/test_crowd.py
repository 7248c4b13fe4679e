"""A crowd: more requests than places. None hangs, none is told an untruth, and no caller takes all from the others."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from linework_api import online_embedder
from linework_api.app import create_app
from linework_api.bulkheads import Bulkhead, Left
from linework_core.errors import Busy, TooManyRequests
from linework_core.settings import Settings, get_settings
from linework_core.tables import ApiKey, BatchQuery, Encoder
from tests.api.conftest import Design, NewJob, as_caller, draw, load, problem_of, require_keys, store_pictures, unit
from tests.api.serving import serving
from tests.waiting import PATIENCE, until


@pytest.fixture
def few_connections(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOL_SIZE", "2")
    monkeypatch.setenv("QUEUE_SECONDS", str(PATIENCE))
    get_settings.cache_clear()


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(150) as pool:
        yield pool


@contextmanager
def gateway() -> Iterator[Callable[[str], httpx.Response]]:
    """Reads from a gateway over HTTP, as many at a time as there are threads that ask."""
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with serving(create_app()) as url, httpx.Client(base_url=url, timeout=PATIENCE, limits=unlimited) as client:
        yield client.get


def statuses(answers: list[Future[httpx.Response]]) -> list[int]:
    return [answer.result().status_code for answer in answers]


# ---- reads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/corpus", "/jobs", "/patents/USD0000001", "/search?drawing=USD0000001-S_1"])
def test_a_hundred_and_fifty_reads_at_once_are_all_answered(
    few_connections: None, session: Session, encoder: Encoder, crowd: ThreadPoolExecutor, path: str
) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1)]), Design("USD0000002", [unit(2)])])
    with gateway() as get:
        assert statuses([crowd.submit(get, path) for _ in range(150)]) == [200] * 150


def test_a_gateway_holds_no_more_connections_than_it_was_given(
    few_connections: None, session: Session, encoder: Encoder, crowd: ThreadPoolExecutor
) -> None:
    load(session, encoder, [Design("USD0000001")])
    mine = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    before, most = session.scalar(mine) or 0, 0
    with gateway() as get:
        answers = [crowd.submit(get, "/corpus") for _ in range(150)]
        while not all(answer.done() for answer in answers):
            most = max(most, (session.scalar(mine) or 0) - before)
            session.rollback()
    assert 0 < most <= 2 + 1  # two for requests; one where metrics or a key is read


def test_thirty_exports_of_batches_at_once_are_all_whole(
    few_connections: None, session: Session, encoder: Encoder, new_job: NewJob, crowd: ThreadPoolExecutor
) -> None:
    snapshot = load(session, encoder, [Design("USD0000001")])
    job = new_job("search", params={"options": {}, "snapshot": snapshot, "encoder": encoder.number})
    session.add_all(BatchQuery(job_id=job, ordinal=n, query=f"USD{n:07}") for n in range(1, 121))
    session.commit()
    with gateway() as get:
        answers = [crowd.submit(get, f"/search/batch/{job}/export") for _ in range(30)]
        assert [len(answer.result().text.splitlines()) for answer in answers] == [121] * 30


# ---- places ------------------------------------------------------------------------------------------------


def test_waiting_callers_take_turns() -> None:
    async def played() -> list[str]:
        bulkhead, order = Bulkhead("test", 1), []

        async def work(caller: str) -> None:
            async with bulkhead.place(caller):
                order.append(caller)
                await asyncio.sleep(0)

        await asyncio.gather(*(work(caller) for caller in ["anna"] * 20 + ["bert"] * 2))
        return order

    order = asyncio.run(played())
    assert order.count("anna") == 20
    assert max(place for place, caller in enumerate(order) if caller == "bert") <= 4


def test_one_caller_never_has_all_places() -> None:
    async def played() -> float:
        bulkhead, ended = Bulkhead("test", 4), asyncio.Event()

        async def work() -> None:
            async with bulkhead.place("anna"):
                await ended.wait()

        crowd = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE), bulkhead.place("bert"):
            ended.set()
        await asyncio.gather(*crowd)
        return len(crowd)

    assert asyncio.run(played()) == 20


def test_what_is_beyond_the_queue_is_refused_at_once_and_told_when_to_come_again() -> None:
    async def played() -> list[BaseException | None]:
        bulkhead, ended = Bulkhead("test", 1, queue=6), asyncio.Event()

        async def work(caller: str) -> None:
            async with bulkhead.place(caller):
                await ended.wait()

        callers = ["anna"] * 5 + ["bert"] * 3 + ["carl"] * 2
        crowd = [asyncio.create_task(work(caller)) for caller in callers]
        await asyncio.sleep(0.01)
        refused = [task for task in crowd if task.done()]
        ended.set()
        await asyncio.gather(*crowd, return_exceptions=True)
        return [task.exception() for task in refused]

    anna, carl, *_ = refusals = asyncio.run(played())
    assert len(refusals) == 3  # of anna one waits too many; three of hers and three of bert's fill the queue
    assert isinstance(anna, TooManyRequests)
    assert isinstance(carl, Busy)
    assert all(int(one.headers["Retry-After"]) >= 1 for one in (anna, carl))


def test_who_has_waited_too_long_is_refused_and_takes_no_place() -> None:
    async def played() -> None:
        bulkhead, ended = Bulkhead("test", 1, seconds=0.05), asyncio.Event()

        async def work() -> None:
            async with bulkhead.place("anna"):
                await ended.wait()

        first = asyncio.create_task(work())
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await work()
        ended.set()
        await first
        async with asyncio.timeout(PATIENCE):
            await work()

    asyncio.run(played())


def test_who_left_while_waiting_is_forgotten() -> None:
    async def played() -> None:
        bulkhead, ended, worked = Bulkhead("test", 1), asyncio.Event(), []

        async def gone() -> bool:
            return True

        async def work(left: Left | None) -> None:
            async with bulkhead.place("anna", left=left):
                worked.append(left)
                await ended.wait()

        first, second = asyncio.create_task(work(None)), asyncio.create_task(work(gone))
        await asyncio.sleep(0.01)
        ended.set()
        await first
        with pytest.raises(ClientDisconnect):
            await second
        async with asyncio.timeout(PATIENCE):
            await work(None)
        assert worked == [None, None]

    asyncio.run(played())


# ---- a part that hangs -------------------------------------------------------------------------------------


@pytest.fixture
def hung_embedder(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It takes connections and never answers."""
    monkeypatch.setattr(online_embedder, "SECONDS", 1.0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(environment.embedder_url.removeprefix("unix://"))
        listener.listen(200)
        yield


def test_an_embedder_that_hangs_takes_no_other_call_with_it_and_is_soon_left_alone(
    few_connections: None, hung_embedder: None, session: Session, encoder: Encoder, crowd: ThreadPoolExecutor
) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1), None])])  # the second drawing is not indexed
    store_pictures(session, original=draw(64, 64))
    with gateway() as get:
        waiting = [crowd.submit(get, "/search?drawing=USD0000001-S_2") for _ in range(40)]
        until(lambda: any(answer.done() for answer in waiting) or get("/corpus").status_code == 200)
        assert not all(answer.done() for answer in waiting), "they were to wait"
        for answer in waiting:
            problem_of(answer.result(), 503, "unavailable")
        began = time.monotonic()
        refused = get("/search?drawing=USD0000001-S_2")
        problem_of(refused, 503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert time.monotonic() - began < online_embedder.SECONDS
        assert get("/search?drawing=USD0000001-S_1").status_code == 200


# ---- streams of events -------------------------------------------------------------------------------------


def events_of(stream: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in stream.iter_lines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            yield name, json.loads(line[5:])


def test_a_hundred_streams_of_events_leave_the_others_their_places(
    few_connections: None, session: Session, new_job: NewJob
) -> None:
    job = new_job()
    with serving(create_app()) as url, ExitStack() as opened:
        client = opened.enter_context(httpx.Client(base_url=url, timeout=PATIENCE, limits=httpx.Limits()))
        follow = partial(client.stream, "GET", f"/jobs/{job}/events")
        streams = [events_of(opened.enter_context(follow())) for _ in range(99)]
        assert {next(stream)[1]["state"] for stream in streams} == {"queued"}
        assert client.delete(f"/jobs/{job}").json()["state"] == "cancelled"
        assert {next(stream)[1]["state"] for stream in streams} == {"cancelled"}
        assert all(next(stream, None) is None for stream in streams)


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a_stream_ends_soon_after_its_key(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, session: Session, new_job: NewJob, change: str
) -> None:
    require_keys(monkeypatch, anna=["search"], bert=["search"])
    job = new_job(owner="anna")
    with serving(create_app()) as url, ExitStack() as opened:
        follow = httpx.stream("GET", f"{url}/jobs/{job}/events", headers=as_caller("anna"), timeout=PATIENCE)
        events = events_of(opened.enter_context(follow))
        assert next(events)[0] == "job"
        session.execute(update(ApiKey).where(ApiKey.name == "anna").values({change: text("now()")}))
        session.commit()
        name, problem = next(events)
        assert (name, problem["type"]) == ("refused", "urn:linework:problem:unauthorized")
        assert next(events, None) is None


def test_no_stream_is_read_for_once_nobody_follows(environment: Settings, new_job: NewJob) -> None:
    job = new_job()
    app = create_app()
    with serving(app) as url:
        with httpx.stream("GET", f"{url}/jobs/{job}/events", timeout=PATIENCE) as stream:
            next(events_of(stream))
        until(lambda: app.state.resources.watch._reading.done())


def test_a_connection_that_is_not_free_is_told_as_that(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    monkeypatch.setenv("POOL_SIZE", "1")
    get_settings.cache_clear()
    app = create_app()
    with serving(app) as url, app.state.resources.engine.connect():
        refused = httpx.get(f"{url}/corpus", timeout=PATIENCE)
    problem_of(refused, 503, "busy")
    assert int(refused.headers["retry-after"]) > 0


def test_no_transaction_is_open_while_a_picture_is_decoded(
    environment: Settings, session: Session, encoder: Encoder, crowd: ThreadPoolExecutor
) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1)])])
    store_pictures(session, original=draw(9000, 9000))
    idle = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
        " AND state LIKE 'idle in transaction%'"
    )
    with gateway() as get:
        answer = crowd.submit(get, "/drawings/USD0000001-S_1/image?size=1024")
        seen = []
        while not answer.done():
            seen.append(session.scalar(idle) or 0)
            session.rollback()
            time.sleep(0.01)
        assert answer.result().status_code == 200
    assert len(seen) > 10, "the picture was decoded too quickly for this test to see anything"
    assert sum(seen) < len(seen) / 2
