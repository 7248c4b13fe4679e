"""Mutated packages by the ten thousands through the readers and the bounded decoder.

    python -m benchmarks.soak --cases 20000 --seed 1

A child process reads the cases with a limit on its memory; one that dies or is silent for too long costs its case,
which is told and can be run alone (`--first N --cases 1`). The exit status is 1 if a case was wrong. With
LINEWORK_DATA, real packages are among those that are mutated.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from linework_core.bounded import Decoder
from tests.ingest import fuzzing

SECONDS = 300.0  # of silence, which a busy machine needs to start a child; a record takes the fraction of a second
MEMORY = 3 << 30  # bytes of address space of the reader


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end then, whatever cases are left")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return read_cases(options.seed, options.first, options.cases)
    return soak(options.seed, options.first, options.cases, options.seconds)


def read_cases(seed: int, first: int, cases: int) -> int:
    """In the child: a line of JSON for every case."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    data = Path(os.environ["LINEWORK_DATA"]) if "LINEWORK_DATA" in os.environ else None
    decoder = Decoder()
    try:
        for number in range(first, first + cases):
            outcome = fuzzing.run(*fuzzing.case(seed, number, data), decoder)
            peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
            print(
                json.dumps([number, outcome.name, outcome.counts, outcome.seconds, outcome.wrong, peaks[0]]), flush=True
            )
    finally:
        decoder.close()
    return 0


@dataclass
class Tally:
    """What has been seen; `sources` counts cases, `outcomes` the cases in which something came about."""

    sources: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int, str] = (0.0, 0, "")
    peak: int = 0  # kB
    wrong: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, name: str, counts: dict[str, int], took: float, fault: str | None, peak: int) -> None:
        self.sources[name] += 1
        self.outcomes.update(dict.fromkeys(counts, 1))
        self.slowest, self.peak = max(self.slowest, (took, number, name)), max(self.peak, peak)
        if fault is not None:
            self.wrong.append((number, name, fault))


def soak(seed: int, first: int, cases: int, seconds: float) -> int:
    tally, number, began = Tally(), first, time.monotonic()
    while number < first + cases and time.monotonic() < began + seconds:
        with child(seed, number, first + cases - number) as process:
            for line in lines_of(process):
                tally.add(*json.loads(line))
                number += 1
                if time.monotonic() > began + seconds:
                    process.kill()
                    break
            else:
                if number < first + cases:  # the child died, or was killed for its silence, within this case
                    tally.wrong.append((number, fuzzing.case(seed, number)[0], "the reader died or was silent"))
                    number += 1
    print(f"{number - first:,} cases of seed {seed} from {first} on, {time.monotonic() - began:.0f} s")
    took, slowest, name = tally.slowest
    print(f"slowest record {took:.2f} s (case {slowest}, {name}); reader's peak {tally.peak / 1024:.0f} MB")
    for what, count in sorted(tally.outcomes.items()):
        print(f"| {what} | {count:,} |")
    print("sources: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.sources.items())))
    for case in tally.wrong:
        print("WRONG", *case)
    return 1 if tally.wrong else 0


def child(seed: int, first: int, cases: int) -> "subprocess.Popen[str]":
    arguments = ["--child", f"--seed={seed}", f"--first={first}", f"--cases={cases}"]
    command = [sys.executable, "-m", "benchmarks.soak", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def lines_of(process: "subprocess.Popen[str]") -> Iterator[str]:
    """The child's lines until it ends; it is killed when it is silent for too long."""
    assert process.stdout is not None
    while True:
        silence = threading.Timer(SECONDS, process.kill)
        silence.start()
        line = process.stdout.readline()
        silence.cancel()
        if not line:
            return
        yield line


if __name__ == "__main__":
    sys.exit(main())
