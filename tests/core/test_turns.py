"""Whose task is next where callers share a few children."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from linework_core.turns import Task, Turns


class Children:
    """Tasks that run until the test ends them, by a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.began: list[str] = []
        self.running: dict[str, Future[Any]] = {}

    def start(self, name: str) -> Callable[[], "Future[Any]"]:
        def begin() -> "Future[Any]":
            self.began.append(name)
            self.running[name] = Future()
            return self.running[name]

        return begin

    def end(self, name: str, seconds: float) -> None:
        self.now += seconds
        self.running.pop(name).set_result(name)


@pytest.fixture
def children() -> Children:
    return Children()


def add(to: Turns, children: Children, caller: str, *names: str) -> list[Task]:
    return [to.add(caller, children.start(name)) for name in names]


def test_a_caller_with_one_task_is_next_however_many_another_has_waiting(children: Children) -> None:
    shared = Turns(1, clock=lambda: children.now)
    add(shared, children, "heavy", *(f"h{number}" for number in range(45)))
    (light,) = add(shared, children, "light", "l")
    children.end("h0", 2.0)
    assert children.began == ["h0", "l"]
    children.end("l", 0.1)
    assert light.result(timeout=0) == "l"


def test_callers_share_by_the_time_that_their_tasks_take_and_not_by_their_number(children: Children) -> None:
    shared = Turns(1, clock=lambda: children.now)
    add(shared, children, "slow", *(f"s{number}" for number in range(10)))
    add(shared, children, "quick", *(f"q{number}" for number in range(100)))
    while children.now < 20:
        (name,) = children.running
        children.end(name, 2.0 if name.startswith("s") else 0.1)
    slow = sum(name.startswith("s") for name in children.began)
    assert 4 <= slow <= 6
    assert len(children.began) - slow > 80


def test_no_caller_has_more_than_its_share_of_the_places(children: Children) -> None:
    shared = Turns(3, share=2, clock=lambda: children.now)
    add(shared, children, "heavy", "h0", "h1", "h2")
    assert children.began == ["h0", "h1"]
    add(shared, children, "light", "l")
    assert children.began == ["h0", "h1", "l"]
    children.end("l", 1.0)
    assert children.began == ["h0", "h1", "l"]
    children.end("h0", 1.0)
    assert children.began[-1] == "h2"


def test_a_task_that_is_cancelled_while_it_waits_never_begins_and_is_not_kept(children: Children) -> None:
    shared = Turns(1, clock=lambda: children.now)
    _, gone, last = add(shared, children, "anna", "a0", "a1", "a2")
    (other,) = add(shared, children, "ben", "b0")
    assert gone.cancel()
    assert other.cancel()
    assert set(shared._lanes) == {"anna"}
    children.end("a0", 1.0)
    assert children.began == ["a0", "a2"]
    assert not last.cancel(), "one that runs is not interrupted"
    children.end("a2", 1.0)
    assert shared._lanes == {}


def test_a_task_that_cannot_begin_fails_and_its_place_is_free_again(children: Children) -> None:
    shared = Turns(1, clock=lambda: children.now)

    def unreadable() -> "Future[Any]":
        raise OSError("gone")

    failed = shared.add("anna", unreadable)
    assert isinstance(failed.exception(timeout=0), OSError)
    add(shared, children, "anna", "a1")
    assert children.began == ["a1"]


def test_tasks_of_many_threads_are_all_done(children: Children) -> None:
    shared = Turns(4, share=3, clock=lambda: children.now)

    def done() -> "Future[Any]":
        future: Future[Any] = Future()
        threading.Timer(0.001, future.set_result, (1,)).start()
        return future

    results: list[Any] = []

    def caller(name: str) -> None:
        tasks = [shared.add(name, done) for _ in range(25)]
        results.extend(task.result(timeout=30) for task in tasks)

    threads = [threading.Thread(target=caller, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(results) == 100
    assert shared._lanes == {}
