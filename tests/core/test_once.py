"""What a process makes once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from linework_core.once import Once
from tests.waiting import PATIENCE


def test_threads_that_ask_together_get_one_thing() -> None:
    made: list[object] = []
    together = threading.Barrier(8)

    @Once
    def pool() -> object:
        time.sleep(0.05)  # as long as it takes to start a child
        made.append(object())
        return made[-1]

    def ask(_: int) -> object:
        together.wait(PATIENCE)
        return pool()

    with ThreadPoolExecutor(8) as threads:
        got = set(threads.map(ask, range(8)))
    assert got == {made[0]}
    assert len(made) == 1


def test_what_was_forgotten_is_made_anew() -> None:
    @Once
    def thing() -> list[int]:
        return []

    first = thing()
    assert thing() is first
    thing.cache_clear()
    assert thing() is not first


def test_what_could_not_be_made_is_tried_again() -> None:
    tries: list[int] = []

    @Once
    def thing() -> int:
        tries.append(1)
        return 1 // (len(tries) - 1)

    try:
        thing()
    except ZeroDivisionError:
        assert thing() == 1
