"""Calls of a caller, how long each took and what came of it."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

CALL_SECONDS = 60.0  # a caller waits for so long


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `outcome` is the status, a job's state or the name of the client's error."""

    caller: str
    seconds: float
    outcome: str
    retry_after: bool = False
    problem: str = ""  # the type and detail of a problem document

    @property
    def answered(self) -> bool:
        return self.outcome.startswith("2") or self.outcome in ("succeeded", "closed")

    @property
    def refused(self) -> bool:
        return self.outcome in ("429", "503")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; the files are opened when it is sent, and streamed."""

    path: str
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    files: Sequence[tuple[str, Path]] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # of the form, beside the files


Act = Callable[[httpx.AsyncClient, int], Awaitable[Call]]


def client(address: str, key: str | None) -> httpx.AsyncClient:
    """A client with as many connections as it has calls; without a key it is a stranger's."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=address, headers=headers, limits=limits, timeout=CALL_SECONDS, trust_env=False)


async def send(session: httpx.AsyncClient, ask: Ask, caller: str = "heavy") -> Call:
    """Send it and read the whole answer. Errors of the transport are outcomes, too."""
    began = time.perf_counter()
    try:
        response = await respond(session, ask)
    except httpx.HTTPError as error:
        return Call(caller, time.perf_counter() - began, type(error).__name__)
    return call_of(response, time.perf_counter() - began, caller)


async def respond(session: httpx.AsyncClient, ask: Ask) -> httpx.Response:
    """The answer, read. Raises httpx.HTTPError."""
    with ExitStack() as opened, anyio.fail_after(2 * CALL_SECONDS):
        files = [(name, (path.name, opened.enter_context(path.open("rb")))) for name, path in ask.files]
        return await session.request(
            ask.method, ask.path, params=dict(ask.params), json=ask.json, data=dict(ask.data), files=files or None
        )


def call_of(response: httpx.Response, seconds: float, caller: str) -> Call:
    """What came of an answer that was read."""
    problem = response.text[:300] if response.is_error else ""
    return Call(caller, seconds, str(response.status_code), "retry-after" in response.headers, problem)


def asking(asks: Sequence[Ask], caller: str = "heavy") -> Act:
    """An act that sends the n-th of these requests, over and over."""

    async def act(session: httpx.AsyncClient, number: int) -> Call:
        return await send(session, asks[number % len(asks)], caller)

    return act


async def at_once(session: httpx.AsyncClient, act: Act, parallel: int, rounds: int = 1) -> list[Call]:
    """So many clients at once, each of which acts so many times, one after the other."""
    calls: list[Call] = []

    async def client_of(number: int) -> None:
        for turn in range(rounds):
            calls.append(await act(session, number + turn * parallel))

    async with anyio.create_task_group() as group:
        for number in range(parallel):
            group.start_soon(client_of, number)
    return calls
