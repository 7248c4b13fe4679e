"""What the heavy callers do. Each load gives its calls, and leaves nothing stopped or open behind."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import httpx

from benchmarks.pressure.calls import Act, Ask, Call, at_once, call_of, client, respond, send
from benchmarks.pressure.target import Target

JOB_SECONDS = 200  # that a batch is waited for
STREAMS = 100
LISTENING = 10.0  # seconds before the job that is followed is cancelled
HALF_SENT = 150
HALF_SENT_SECONDS = 60.0
HUNG_SECONDS = 30.0


async def crowd(act: Act, parallel: int, rounds: int, target: Target, key: str | None = "heavy") -> list[Call]:
    """So many clients at once, each with so many calls; without a key they are strangers."""
    async with client(target.address, target.keys[key] if key else None) as session:
        return await at_once(session, act, parallel, rounds)


async def batches(number: int, target: Target) -> list[Call]:
    """Batches of all patents, from the request to the end of each job."""
    query = "&".join(f"{name}={value}" for name, value in {"limit": 20}.items())
    ask = Ask(f"/search/batch?{query}", "POST", json={"patents": target.patents[:600]})
    async with client(target.address, target.keys["heavy"]) as session:
        return await at_once(session, partial(whole_job, ask, "heavy"), number)


async def whole_job(ask: Ask, caller: str, session: httpx.AsyncClient, _: int) -> Call:
    """From a request to the end of its job."""
    began = time.perf_counter()
    try:
        response = await respond(session, ask)
        if response.is_error:
            return call_of(response, time.perf_counter() - began, caller)
        job: dict[str, Any] = response.json()
        while job["state"] in ("queued", "running") and time.perf_counter() - began < JOB_SECONDS:
            await anyio.sleep(0.2)
            job = (await respond(session, Ask(f"/jobs/{job['id']}"))).raise_for_status().json()
    except httpx.HTTPError as error:
        return Call(caller, time.perf_counter() - began, type(error).__name__)
    return Call(caller, time.perf_counter() - began, job["state"])


async def streams(target: Target) -> list[Call]:
    """Followers of a job that waits: until the first event of each, and from its cancelling to the last of each."""
    with stopped(target.programs["enrich"]):
        async with client(target.address, target.keys["heavy"]) as session:
            job = (await respond(session, Ask("/enrich", "POST", json={}))).raise_for_status().json()
            followed: list[Call] = []
            cancelled = anyio.Event()
            async with anyio.create_task_group() as group:
                for _ in range(STREAMS):
                    group.start_soon(_follow, session, job["id"], cancelled, followed)
                await anyio.sleep(LISTENING)
                cancelled.set()
                await send(session, Ask(f"/jobs/{job['id']}", "DELETE"))
            return followed


async def _follow(session: httpx.AsyncClient, job_id: str, cancelled: anyio.Event, calls: list[Call]) -> None:
    began, first, last = time.perf_counter(), "heavy, first event", "heavy, last event"
    try:
        with anyio.fail_after(LISTENING + 60):
            async with session.stream("GET", f"/jobs/{job_id}/events") as response:
                if response.is_error:
                    await response.aread()
                    calls.append(call_of(response, time.perf_counter() - began, first))
                    return
                seen = False
                async for line in response.aiter_lines():
                    if line.startswith("data:") and not seen:
                        calls.append(Call(first, time.perf_counter() - began, "200"))
                        seen = True
        took = time.perf_counter() - began - LISTENING
        calls.append(Call(last, max(0.0, took), "200" if cancelled.is_set() else "ended early"))
    except (httpx.HTTPError, TimeoutError) as error:
        calls.append(Call(last, time.perf_counter() - began - LISTENING, type(error).__name__))


async def beside_hung_embedder(act: Act, parallel: int, target: Target) -> list[Call]:
    """Searches that need the embedder, which hangs for a while."""

    async def later() -> None:
        await anyio.sleep(HUNG_SECONDS)
        os.kill(target.programs["embedder"], signal.SIGCONT)

    with stopped(target.programs["embedder"]):
        async with anyio.create_task_group() as group:
            group.start_soon(later)
            calls = await crowd(act, parallel, 1, target)
    return calls


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process hangs for as long as the context lasts, or until it is sent SIGCONT."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def half_sent_headers(target: Target) -> list[Call]:
    """Connections that never end their headers: when the gateway closed each, or that it did not."""
    host, _, port = target.address.removeprefix("http://").partition(":")
    calls: list[Call] = []

    async def hold(_: int) -> None:
        began, outcome = time.perf_counter(), "closed"
        try:
            with anyio.fail_after(HALF_SENT_SECONDS):
                async with await anyio.connect_tcp(host, int(port)) as stream:
                    await stream.send(b"GET /corpus HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
                    while True:
                        await stream.receive()
        except TimeoutError:
            outcome = "still open"
        except (anyio.EndOfStream, anyio.BrokenResourceError, OSError):
            pass
        calls.append(Call("heavy", time.perf_counter() - began, outcome))

    async with anyio.create_task_group() as group:
        for number in range(HALF_SENT):
            group.start_soon(hold, number)
    return calls
