"""Both sides of a scenario at once: the heavy one in a process of its own, the light one here."""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import anyio

from benchmarks.pressure.calls import Act, Call, client
from benchmarks.pressure.memory import Sampler
from benchmarks.pressure.scenarios import SCENARIOS, Scenario
from benchmarks.pressure.stack import Stack
from benchmarks.pressure.target import Target

SCENARIO_SECONDS = 240.0  # a heavy side that takes longer is given up
LIGHT_PAUSE = 0.02
LIGHT_CALLS = 10  # at least, if they take no longer …
AFTERWARDS = 60.0  # … than so many seconds after the heavy side


def heavy_side(number: int, target: Target) -> list[Call]:
    """The heavy calls of a scenario; runs in a process of its own."""

    async def limited() -> list[Call]:
        with anyio.move_on_after(SCENARIO_SECONDS):
            return await SCENARIOS[number].heavy(target)
        return [Call("heavy", SCENARIO_SECONDS, "given up")]

    return anyio.run(limited)


async def light_side(act: Act, target: Target, ended: Callable[[], bool]) -> list[Call]:
    """One call after the other until the heavy side has ended."""
    calls: list[Call] = []
    async with client(target.address, target.keys["light"]) as session:
        deadline = float("inf")
        while len(calls) < LIGHT_CALLS or not ended():
            if ended():
                deadline = min(deadline, anyio.current_time() + AFTERWARDS)
            if anyio.current_time() > deadline:
                break
            calls.append(await act(session, len(calls)))
            await anyio.sleep(LIGHT_PAUSE)
    return calls


def measure(scenario: Scenario, stack: Stack, target: Target, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Both sides at once: their calls, the peaks of memory, and how long the stack had work afterwards."""
    with Sampler(stack.home) as sampler:
        heavy: Future[list[Call]] = pool.submit(heavy_side, SCENARIOS.index(scenario), target)
        light = anyio.run(light_side, scenario.light(target), target, heavy.done)
        calls = [*heavy.result(), *light]
    return {
        "family": scenario.family,
        "title": scenario.title,
        "calls": [call.as_json() for call in calls],
        "memory": sampler.peaks,
        "settled": stack.settle(),
    }
