"""Whose task is next: callers share a few children fairly, by the time that their tasks take."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Start = Callable[[], "Future[Any]"]  # begins a task in a child


class Task(Future[Any]):
    """A task that waits or runs. To cancel it while it waits takes it out of the queue."""

    def __init__(self, caller: str, start: Start) -> None:
        super().__init__()
        self.caller = caller
        self._start: Start | None = start

    def start(self) -> "Future[Any]":
        """Begin it, once; its bytes are not held any longer."""
        start, self._start = self._start, None
        assert start is not None
        return start()


@dataclass(slots=True)
class Lane:
    """One caller's tasks. `used`: seconds that they took, counted from where the others were when it began to wait."""

    used: float
    running: int = 0
    waiting: deque[Task] = field(default_factory=deque)


class Turns:
    """At most `places` tasks run at a time, `share` of them one caller's.

    Next is the caller whose tasks have taken the least time so far, as a scheduler of processes does: nobody can know
    how long a picture takes before it is decoded. For any thread.
    """

    def __init__(self, places: int, share: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.places = places
        self.share = share or places
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes: dict[str, Lane] = {}  # of callers who have tasks
        self._running = 0

    def add(self, caller: str, start: Start) -> Task:
        """Begin the task when it is the caller's turn, which may be now."""
        task = Task(caller, start)
        task.add_done_callback(self._forget)
        with self._lock:
            if caller not in self._lanes:
                self._lanes[caller] = Lane(min((lane.used for lane in self._lanes.values()), default=0.0))
            self._lanes[caller].waiting.append(task)
        self._fill()
        return task

    def close(self) -> None:
        """Cancel what waits."""
        with self._lock:
            waiting = [task for lane in self._lanes.values() for task in lane.waiting]
        for task in waiting:
            task.cancel()

    def _fill(self) -> None:
        while (task := self._next()) is not None:
            began = self._clock()
            try:
                running = task.start()
            except Exception as error:  # its bytes cannot be read, or the children are gone
                running = Future()
                running.set_exception(error)
            running.add_done_callback(lambda done, task=task, began=began: self._ended(task, began, done))  # type: ignore[misc]

    def _next(self) -> Task | None:
        with self._lock:
            while self._running < self.places:
                able = [lane for lane in self._lanes.values() if lane.waiting and lane.running < self.share]
                if not able:
                    return None
                lane = min(able, key=lambda lane: lane.used)
                task = lane.waiting.popleft()
                if task.set_running_or_notify_cancel():
                    self._running += 1
                    lane.running += 1
                    return task
            return None

    def _ended(self, task: Task, began: float, done: "Future[Any]") -> None:
        with self._lock:
            self._running -= 1
            lane = self._lanes[task.caller]
            lane.running -= 1
            lane.used += self._clock() - began
            self._drop_if_idle(task.caller)
        self._fill()
        if done.cancelled():
            task.set_exception(RuntimeError("the children were stopped"))
        elif (error := done.exception()) is not None:
            task.set_exception(error)
        else:
            task.set_result(done.result())

    def _forget(self, task: "Future[Any]") -> None:
        """A task that was cancelled while it waited holds nothing any more."""
        assert isinstance(task, Task)
        if not task.cancelled():
            return
        with self._lock:
            lane = self._lanes.get(task.caller)
            if lane is not None:
                if task in lane.waiting:
                    lane.waiting.remove(task)
                self._drop_if_idle(task.caller)

    def _drop_if_idle(self, caller: str) -> None:
        lane = self._lanes[caller]
        if not lane.waiting and not lane.running:
            del self._lanes[caller]
