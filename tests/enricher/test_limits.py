"""Rates and concurrency hold over processes, and through a Redis that goes away."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from linework_enricher.limits import WINDOW_S, Limits
from linework_local.redis import Redis as Server
from linework_local.redis import embedded_redis
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio

WORKER = """
import asyncio, json, sys, time
from redis.asyncio import Redis
from linework_enricher.limits import Limits

async def main(url, options, tasks, hold, seconds):
    spans = []
    async with Redis.from_url(url) as redis:
        limits = Limits(redis, "test", lease_s=10, **options)
        print("ready", flush=True)
        sys.stdin.readline()
        end = time.time() + seconds
        async def work():
            while time.time() < end:
                async with limits.slot(100) as slot:
                    began = time.time()
                    await asyncio.sleep(hold)
                    spans.append((began, time.time()))
                    slot.used = 50
        tasks = [asyncio.create_task(work()) for _ in range(tasks)]
        await asyncio.wait(tasks, timeout=seconds + 1)
        for task in tasks:
            task.cancel()
    print(json.dumps(spans))

asyncio.run(main(*json.loads(sys.argv[1])))
"""


@asynccontextmanager
async def limits_of(redis_url: str, **options: Any) -> AsyncIterator[Limits]:
    async with Redis.from_url(redis_url) as redis:
        yield Limits(redis, "test", **{"concurrency": 4, "lease_s": 10.0, **options})


async def takes(limits: Limits, tokens: int = 1) -> float:
    """Seconds until a call of so many tokens may be made; at most 1."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(1), limits.slot(tokens):
            pass
    except TimeoutError:
        return 1.0
    return time.monotonic() - began


def spans_of_two_processes(redis_url: str, options: dict[str, int], *, hold: float, seconds: float) -> list[Any]:
    """When each call began and ended; the processes begin together, once both are up."""
    command = [sys.executable, "-c", WORKER, json.dumps([redis_url, options, 8, hold, seconds])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    spans = [json.loads(worker.communicate(timeout=PATIENCE)[0]) for worker in workers]
    assert options["concurrency"] == 1 or all(spans), "a process never had a turn"
    return sorted(span for process in spans for span in process)


def most_at_once(spans: list[Any]) -> int:
    edges = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def test_two_processes_share_their_slots(redis_url: str) -> None:
    spans = spans_of_two_processes(redis_url, {"concurrency": 4}, hold=0.05, seconds=2)
    assert most_at_once(spans) == 4
    assert len(spans) > 0.6 * 4 * 2 / 0.05  # slots do not lie idle between processes


def test_two_processes_share_their_requests_a_minute(redis_url: str) -> None:
    options = {"concurrency": 16, "requests_per_minute": 21}
    assert len(spans_of_two_processes(redis_url, options, hold=0.3, seconds=2)) == 21


def test_two_processes_share_their_tokens_a_minute(redis_url: str) -> None:
    options = {"concurrency": 1, "tokens_per_minute": 1000}
    # of 100 tokens expected each call took 50: nineteen fit, for the last must fit with its estimate
    assert len(spans_of_two_processes(redis_url, options, hold=0.05, seconds=3)) == 19


async def test_a_call_that_took_more_than_expected_counts_in_full(redis_url: str) -> None:
    async with limits_of(redis_url, tokens_per_minute=1000) as limits:
        async with limits.slot(100) as slot:
            slot.used = 950
        assert await takes(limits, 100) == 1.0
        assert await takes(limits, 50) < 1.0


async def test_a_call_larger_than_the_limit_waits_for_a_whole_minute_and_not_for_ever(redis_url: str) -> None:
    async with limits_of(redis_url, tokens_per_minute=1000) as limits:
        assert await takes(limits, 5000) < 1.0
        assert await takes(limits, 1) == 1.0


async def test_a_minute_later_there_is_room_again(redis_url: str) -> None:
    async with limits_of(redis_url, requests_per_minute=1) as limits, Redis.from_url(redis_url) as redis:
        assert await takes(limits) < 1.0
        assert await takes(limits) == 1.0
        [(field, _)] = [
            item for item in (await redis.hgetall("linework:limits:test:minute")).items() if b"r" in item[0]
        ]
        await redis.delete("linework:limits:test:minute")
        earlier = int(field[:-1]) - WINDOW_S
        await redis.hset("linework:limits:test:minute", f"{earlier}r", 1)
        assert 0.0 < await takes(limits) < 1.1  # its second has to end
        assert await redis.hlen("linework:limits:test:minute") <= 3


async def test_the_slot_of_a_killed_worker_comes_back(redis_url: str) -> None:
    async with limits_of(redis_url, concurrency=1, lease_s=0.5) as limits:
        await limits._acquire(1)  # and it is never given back
        assert 0.3 < await takes(limits) < 1.0


async def test_a_pause_holds_for_all(redis_url: str) -> None:
    async with limits_of(redis_url) as one, limits_of(redis_url) as other:
        await one.pause(0.5)
        await one.pause(0.1)  # does not shorten it
        assert 0.4 < await takes(other) < 1.0


async def test_a_cancelled_call_gives_its_slot_back(redis_url: str) -> None:
    async with limits_of(redis_url, concurrency=1) as limits:

        async def call() -> None:
            async with limits.slot(1):
                await asyncio.sleep(60)

        task = asyncio.create_task(call())
        await asyncio.sleep(0.1)
        task.cancel()
        assert await takes(limits) < 1.0


async def test_without_redis_a_call_waits(server_folder: Path) -> None:
    folder = server_folder / "away"
    folder.mkdir()
    server = Server(data=folder, socket=folder / "redis.sock")
    async with limits_of(server.url) as limits:
        waiting = asyncio.create_task(takes(limits))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        with embedded_redis(folder):
            assert await waiting < 1.5


async def test_a_redis_that_lost_its_data_makes_all_wait_until_nothing_of_before_counts(server_folder: Path) -> None:
    folder = server_folder / "forgetful"
    folder.mkdir()
    url = Server(data=folder, socket=folder / "redis.sock").url
    async with limits_of(url, concurrency=2, lease_s=1.0) as limits, limits_of(url) as newcomer:
        with embedded_redis(folder):
            assert await takes(limits) < 1.0
        with embedded_redis(folder):
            began = time.monotonic()
            while await takes(limits) == 1.0:
                pass
            assert 0.8 < time.monotonic() - began < 30
            assert await takes(newcomer) < 1.0
