"""The batcher: when a batch closes, and who is hurt when something goes wrong."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linework_core.errors import LineworkError, Unavailable
from linework_embedder.batcher import Batcher
from linework_vision.encoder import Vectors, unit_rows
from linework_vision.errors import NotFinite
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def encode(items: Sequence[int]) -> Vectors:
    """A vector from which the item can be told."""
    return unit_rows(np.array([[1.0, item, item * item] for item in items]))


def as_row(item: int) -> Any:
    return pytest.approx(encode([item])[0], abs=1e-6)


@asynccontextmanager
async def batching(
    function: Callable[[Sequence[int]], Vectors] = encode, *, size: int = 4, wait_s: float = 0.01
) -> AsyncIterator[tuple[Batcher[int], list[int], list[tuple[BaseException, bool]]]]:
    """A batcher, the sizes of its batches, and the failures that it told of."""
    sizes: list[int] = []
    failures: list[tuple[BaseException, bool]] = []

    def counted(items: Sequence[int]) -> Vectors:
        sizes.append(len(items))
        return function(items)

    with ThreadPoolExecutor(1) as thread:
        batcher = Batcher(
            counted, thread, kind="test", size=size, wait_s=wait_s,
            on_failure=lambda error, fatal: failures.append((error, fatal)),
        )  # fmt: skip
        yield batcher, sizes, failures
        await batcher.close()


async def outcomes(batcher: Batcher[int], *items: int) -> list[Any]:
    return await asyncio.gather(*(batcher.submit([item]) for item in items), return_exceptions=True)


async def test_items_of_different_callers_share_batches():
    async with batching(size=4) as (batcher, sizes, _):
        rows = await outcomes(batcher, *range(8))
    assert sizes == [4, 4]
    assert all(rows[item][0] == as_row(item) for item in range(8))


async def test_a_full_batch_does_not_wait():
    async with batching(size=2, wait_s=60) as (batcher, _, _):
        async with asyncio.timeout(5):
            await outcomes(batcher, 1, 2)


async def test_a_lone_item_waits_only_a_moment():
    async with batching(wait_s=0.05) as (batcher, sizes, _):
        began = time.monotonic()
        await batcher.submit([7])
    assert 0.04 < time.monotonic() - began < 30
    assert sizes == [1]


async def test_the_next_batch_fills_while_the_model_works():
    release = threading.Event()

    def slow(items: Sequence[int]) -> Vectors:
        release.wait(PATIENCE)
        return encode(items)

    async with batching(slow, size=8, wait_s=0.001) as (batcher, sizes, _):
        first = asyncio.create_task(batcher.submit([0]))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(batcher.submit([item])) for item in range(1, 7)]
        await asyncio.sleep(0.05)
        release.set()
        await asyncio.gather(first, *rest)
    assert sizes == [1, 6]


async def test_more_items_than_a_batch_holds_come_back_in_order():
    async with batching(size=3) as (batcher, sizes, _):
        rows = await batcher.submit(range(10))
    assert [row == as_row(item) for item, row in enumerate(rows)] == [True] * 10
    assert max(sizes) == 3


async def test_a_caller_who_has_gone_costs_the_others_nothing():
    async with batching(size=8, wait_s=0.05) as (batcher, sizes, _):
        gone = asyncio.create_task(batcher.submit([1, 2]))
        stays = asyncio.create_task(batcher.submit([3]))
        await asyncio.sleep(0.01)
        gone.cancel()
        assert (await stays)[0] == as_row(3)
    assert sizes == [1]


async def test_a_caller_who_goes_in_mid_batch_costs_the_others_nothing():
    release = threading.Event()

    def slow(items: Sequence[int]) -> Vectors:
        release.wait(PATIENCE)
        return encode(items)

    async with batching(slow, wait_s=0.001) as (batcher, _, failures):
        gone, stays = (asyncio.create_task(batcher.submit([item])) for item in (1, 2))
        await asyncio.sleep(0.05)
        gone.cancel()
        release.set()
        assert (await stays)[0] == as_row(2)
        assert (await batcher.submit([3]))[0] == as_row(3)
    assert failures == []


async def test_an_item_without_a_vector_fails_alone():
    def poisoned(items: Sequence[int]) -> Vectors:
        bad = [row for row, item in enumerate(items) if item == 5]
        if bad:
            raise NotFinite(bad)
        return encode(items)

    async with batching(poisoned, size=8) as (batcher, _, failures):
        rows = await outcomes(batcher, *range(8))
    assert isinstance(rows[5], NotFinite)
    assert all(rows[item][0] == as_row(item) for item in range(8) if item != 5)
    assert failures == []


async def test_a_batch_too_large_for_the_device_is_tried_in_halves():
    def small_device(items: Sequence[int]) -> Vectors:
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(items)

    async with batching(small_device, size=8) as (batcher, sizes, failures):
        rows = await batcher.submit(range(8))
    assert all(row == as_row(item) for item, row in enumerate(rows))
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    assert failures == []


async def test_an_item_too_large_alone_is_refused_with_the_reason():
    def no_room(items: Sequence[int]) -> Vectors:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    async with batching(no_room) as (batcher, _, _):
        with pytest.raises(LineworkError, match="memory"):
            await batcher.submit([1])


async def test_a_model_that_fails_fails_its_batch_and_lives_on():
    broken = True

    def moody(items: Sequence[int]) -> Vectors:
        if broken:
            raise RuntimeError("kernel")
        return encode(items)

    async with batching(moody, size=3) as (batcher, _, failures):
        rows = await outcomes(batcher, 1, 2, 3)
        assert all(isinstance(row, LineworkError) and row.status == 500 for row in rows)
        broken = False
        assert (await batcher.submit([4]))[0] == as_row(4)
    assert [(type(error), fatal) for error, fatal in failures] == [(RuntimeError, False)]


async def test_a_broken_device_is_told_to_be_beyond_repair():
    def dead(items: Sequence[int]) -> Vectors:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    async with batching(dead) as (batcher, _, failures):
        with pytest.raises(LineworkError):
            await batcher.submit([1])
    assert [fatal for _, fatal in failures] == [True]


async def test_who_waits_when_it_closes_is_told_to_ask_again():
    async with batching(wait_s=60, size=100) as (batcher, _, _):
        waiting = asyncio.create_task(batcher.submit([1]))
        await asyncio.sleep(0.01)
        await batcher.close()
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await batcher.submit([2])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=7), min_size=1, max_size=12), st.integers(1, 9))
def test_everyone_gets_their_own_vectors_whatever_the_batches(requests, size):
    async def ask() -> None:
        async with batching(size=size, wait_s=0.001) as (batcher, sizes, _):
            answers = await asyncio.gather(*(batcher.submit(items) for items in requests))
        for items, rows in zip(requests, answers, strict=True):
            assert rows == pytest.approx(encode(items), abs=1e-6)
        assert sum(sizes) == sum(map(len, requests))
        assert max(sizes) <= size

    asyncio.run(ask())
