"""Time and memory of an evaluation, and how they grow with the database.

    python benchmarks/evaluation.py [--device cuda] [--items 50000 100000 200000 400000] [--queries 256]

Random unit vectors of 512 dimensions, dated at random; `class-temporal` has 407 long-tailed classes (database: what
is older, half of it in the mean), `same-patent` seven drawings a patent (database: all). Each cell is a process of
its own. Memory is what the process holds at most beside what it held before, vectors not counted. `all` is what every
drawing as a query would take, by the time of a query; the last line of each protocol is computed from the one before
it, a query's time growing with N log N.
"""

import argparse
import json
import math
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import torch

from linework_trainer.evaluation.job import memory_of
from linework_trainer.evaluation.metrics import judge, judge_ranking
from linework_trainer.evaluation.ranking import NONE, Ranking, Task

PROTOCOLS = ("class-temporal", "same-patent")
DIMENSION = 512
GOAL = (250_000, 820_000)  # queries against drawings


def made(protocol: str, items: int, queries: int) -> Task:
    dice = np.random.default_rng(0)
    database = dice.standard_normal((items, DIMENSION), dtype=np.float32)
    database /= np.linalg.norm(database, axis=1, keepdims=True)
    chosen = np.sort(dice.choice(items, queries, replace=False))
    if protocol == "same-patent":
        patents = np.arange(items) // 7
        return Task(
            queries=database[chosen], database=database, wanted=patents[chosen, None], groups=patents, askers=chosen,
            owners=np.arange(items),
        )  # fmt: skip
    shares = 1 / np.arange(1, 408)
    classes = dice.choice(407, items, p=shares / shares.sum())
    days = dice.integers(0, 7000, items)
    return Task(
        queries=database[chosen], database=database, wanted=classes[chosen, None], groups=classes,
        askers=np.full(queries, NONE), owners=np.full(items, NONE), before=days[chosen], dates=days,
    )  # fmt: skip


class Memory:
    """The most that this process holds more than at the beginning, looked at every few milliseconds."""

    def __enter__(self) -> "Memory":
        self.process, self.ended = psutil.Process(), threading.Event()
        self.start = self.most = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while not self.ended.wait(0.002):
            self.most = max(self.most, self.process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()


def cell(protocol: str, items: int, queries: int, device: str) -> dict[str, float]:
    task = made(protocol, items, queries)
    judge(made(protocol, 2000, 32), device=device)  # what is loaded and compiled once
    ranking = Ranking(task, device=device, memory=memory_of(device))
    with Memory() as memory:
        started = time.perf_counter()
        judge_ranking(ranking, queries)
        seconds = time.perf_counter() - started
    on_gpu = device.startswith("cuda")
    used = torch.cuda.max_memory_allocated() - task.database.nbytes if on_gpu else memory.most - memory.start
    return {"seconds": seconds, "ms": 1000 * seconds / queries, "gib": used / 2**30}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--items", type=int, nargs="+", default=[50_000, 100_000, 200_000, 400_000])
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--cell", nargs=2, metavar=("PROTOCOL", "ITEMS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(cell(options.cell[0], int(options.cell[1]), options.queries, options.device)))
        return
    print("| protocol | drawings | queries | s | ms a query | all, hours | memory beside the vectors, GiB |")
    print("|---|---|---|---|---|---|---|")
    for protocol in PROTOCOLS:
        times = []
        for items in options.items:
            command = [sys.executable, __file__, "--device", options.device, "--queries", str(options.queries)]
            done = subprocess.run(
                [*command, "--cell", protocol, str(items)], capture_output=True, text=True, check=True
            )
            found = json.loads(done.stdout)
            times.append(found["ms"])
            hours = found["ms"] * items / 3.6e6
            print(
                f"| {protocol} | {items:,} | {options.queries} | {found['seconds']:.1f} | {found['ms']:.2f}"
                f" | {hours:.2f} | {found['gib']:.2f} |",
                flush=True,
            )
        most = max(options.items)
        expected = times[-1] * GOAL[1] * math.log(GOAL[1]) / (most * math.log(most))
        hours = expected * GOAL[0] / 3.6e6
        print(f"| {protocol} | {GOAL[1]:,} | {GOAL[0]:,} | computed | {expected:.1f} | {hours:.2f} | |")


if __name__ == "__main__":
    main()
