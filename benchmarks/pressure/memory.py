"""Peak memory of each process of a stack, sampled from a process of its own."""

import multiprocessing
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from linework_local.home import Home
from linework_local.supervision import Supervisor

PAUSE = 0.25  # seconds between two samples
MB = 2**20


class Sampler:
    """Samples while the context lasts; `peaks` is then in MB by program.

    The memory of a process is its PSS, so pages that Postgres' processes share count once. The children of a
    service (its decoders) are told together, beside it; those of Postgres are part of it.
    """

    def __init__(self, home: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.peaks: dict[str, float] = {}
        self._ended = context.Event()
        self._result, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_sample, args=(home, self._ended, theirs), daemon=True)

    def __enter__(self) -> "Sampler":
        self._process.start()
        self._result.recv()  # the first sample is taken
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._result.poll(30):
            self.peaks = self._result.recv()
        self._process.join(timeout=10)


def _sample(home: Path, ended: Any, result: Any) -> None:
    supervisor = Supervisor(Home.at(home))
    peaks: Counter[str] = Counter()
    peaks |= usage(supervisor)
    result.send("begun")
    while not ended.wait(PAUSE):
        peaks |= usage(supervisor)
    result.send(dict(peaks))


def usage(supervisor: Supervisor) -> Counter[str]:
    """MB by program, and by 'program children', at this moment."""
    used: Counter[str] = Counter()
    for process in supervisor.processes():
        if process.pid is None:
            continue
        try:
            parent = psutil.Process(process.pid)
            used[process.name] += _megabytes(parent)
            children = parent.children(recursive=True)
        except psutil.Error:
            continue
        label = process.name if process.name == "postgres" else f"{process.name} children"
        used[label] += sum(_megabytes(child) for child in children)
    used["all together"] = used.total()
    return used


def _megabytes(process: psutil.Process) -> int:
    try:
        return round(int(process.memory_full_info().pss) / MB)
    except psutil.Error:  # it has just ended
        return 0
