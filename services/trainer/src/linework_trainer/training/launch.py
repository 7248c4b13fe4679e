"""Starting a training: here, as several processes under torchrun, or as pods of a cluster."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from linework_core.errors import LineworkError, Unavailable
from linework_core.settings import Settings
from linework_trainer.training.errors import ProcessFailed
from linework_trainer.training.kubernetes import Over, pods
from linework_trainer.training.loop import Listener
from linework_trainer.training.plan import ALIVE, REPORTS
from linework_trainer.training.process import train

POLL_S = 0.5
END_S = 5.0  # what processes get to end by themselves


def how_many(settings: Settings) -> int:
    """Processes of a training on this machine: as set, or one for each GPU."""
    if settings.train_processes:
        return settings.train_processes
    return max(1, torch.cuda.device_count()) if settings.device == "cuda" else 1


def how_many_loaders(settings: Settings, processes: int) -> int:
    """Processes that prepare drawings, for each process of the training."""
    if settings.train_loaders is not None:
        return settings.train_loaders
    return min(8, max(1, (os.cpu_count() or 1) // (2 * processes)))


def launch(folder: Path, listener: Listener, settings: Settings) -> None:
    """Run the folder's plan to its end: in this process, in several of this machine, or in pods on several nodes.

    Raises what `train` raises, ProcessFailed, NoTemplate, Unavailable, and what the listener raises.
    """
    processes = how_many(settings)
    if settings.train_launcher == "kubernetes":
        with pods(folder, settings) as over:
            _follow(folder, listener, over)
    elif processes == 1:
        train(folder, listener)
    else:
        with _torchrun(folder, processes) as over:
            _follow(folder, listener, over)


def _follow(folder: Path, listener: Listener, over: Over) -> None:
    """Pass on what other processes tell until they are over. `over` waits a little, and raises when they failed."""
    (folder / ALIVE).touch()
    lines = _Lines(folder / REPORTS)
    try:
        while not over():
            (folder / ALIVE).touch()
            lines.read(listener.tell)
            listener.checkpoint()
    except (ProcessFailed, Unavailable) as failure:
        lines.read(listener.tell)
        raise lines.error or failure from None
    lines.read(listener.tell)


@contextmanager
def _torchrun(folder: Path, processes: int) -> Iterator[Over]:
    """The processes, in a group of their own that ends with the block."""
    (folder / ALIVE).touch()
    options = ["--standalone", "--nproc-per-node", str(processes), "-m", "linework_trainer.training.process"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, str(folder)]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))}
    running = subprocess.Popen(command, env=os.environ | threads, start_new_session=True)

    def over() -> bool:
        with suppress(subprocess.TimeoutExpired):
            running.wait(POLL_S)
        if running.returncode:
            raise ProcessFailed(f"A process of the training ended with {running.returncode}.")
        return running.returncode == 0

    try:
        yield over
    finally:
        if running.poll() is None:
            running.terminate()  # torchrun passes it on
            with suppress(subprocess.TimeoutExpired):
                running.wait(END_S)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


class _Lines:
    """The reports' file, read as it grows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self.error: LineworkError | None = None

    def read(self, tell: Callable[[dict[str, object]], None]) -> None:
        if not self._file.exists():
            return
        with self._file.open() as file:
            file.seek(self._read)
            while (line := file.readline()).endswith("\n"):
                self._read = file.tell()
                told = json.loads(line)
                if "report" in told:
                    tell(told["report"])
                elif self.error is None:
                    self.error = _error(told["error"])


def _error(told: dict[str, object]) -> LineworkError:
    """The error of another process, as this one's own."""
    error = ProcessFailed(str(told["detail"]))
    error.type = str(told["type"])  # type: ignore[misc]  # of this error alone
    error.extra = dict(told["extra"])  # type: ignore[call-overload]
    return error
