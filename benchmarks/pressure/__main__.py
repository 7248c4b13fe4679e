"""A crowd, and one caller against the others: `python -m benchmarks.pressure`.

    python -m benchmarks.pressure [--only reads,pictures] [--stack ../older] [--json out.json]
    python -m benchmarks.pressure --compare before.json [--with after.json]

Starts a whole stack of a source tree (by default this one; `--stack` names another, with its own .venv) with AUTH=on in
a temporary home, loads a corpus that is drawn here, and lets a heavy caller do what each scenario says while a light
caller makes one call after the other. Reported: p50, p99 and maximum of both, refusals, and the peak memory of each
process. It ends by itself.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.pressure import corpus, report, target
from benchmarks.pressure.scenarios import FAMILIES, SCENARIOS
from benchmarks.pressure.sides import measure
from benchmarks.pressure.stack import Stack
from benchmarks.pressure.target import Target

RUN_SECONDS = 780.0  # no scenario begins later


def run(tree: Path, families: list[str]) -> report.Run:
    """All scenarios of these families."""
    began = time.monotonic()
    results: list[dict[str, Any]] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="lw-")))
        stack, aim = opened.enter_context(running(tree, folder))
        pool = opened.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        pool.submit(time.sleep, 0).result()  # its process is there
        for scenario in (one for one in SCENARIOS if one.family in families):
            if time.monotonic() - began > RUN_SECONDS:
                print(f"not run, for there is no time left: {scenario.title}", file=sys.stderr)
                continue
            if scenario.fresh and results:
                stack.restart()
                aim = target.find(stack, aim.pictures, folder)
            results.append(measure(scenario, stack, aim, pool))
            print(f"after {time.monotonic() - began:.0f} s", file=sys.stderr)
            print(report.rows_of(results[-1]), file=sys.stderr, flush=True)
    return {"commit": commit_of(tree), "scenarios": results}


@contextmanager
def running(tree: Path, folder: Path) -> Iterator[tuple[Stack, Target]]:
    """A loaded stack, which is gone afterwards."""
    stack = Stack(tree, folder / "home")
    try:
        stack.start()
        print(f"started; loading {corpus.PATENTS} patents", file=sys.stderr, flush=True)
        target.load(stack)
        yield stack, target.find(stack, corpus.write_pictures(folder), folder)
    finally:
        stack.stop()


def commit_of(tree: Path) -> str:
    done = subprocess.run(["git", "-C", str(tree), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(FAMILIES), help=f"of {', '.join(FAMILIES)}; separated by commas")
    parser.add_argument("--stack", type=Path, default=Path.cwd(), help="the source tree whose stack is measured")
    parser.add_argument("--json", type=Path, help="where every call is written")
    parser.add_argument("--compare", type=Path, help="the file of an earlier run; printed beside this one")
    parser.add_argument("--with", dest="other", type=Path, help="compare with this file, and run nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the stack is stopped then, too
    families = options.only.split(",")
    if unknown := set(families) - set(FAMILIES):
        parser.error(f"no such scenarios: {', '.join(sorted(unknown))}")
    results = json.loads(options.other.read_text()) if options.other else run(options.stack.resolve(), families)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{results['commit']}\n\n{report.latencies(results)}\n\nPeak memory, MB\n\n{report.memory(results)}\n")
    print(report.problems(results))
    if options.compare:
        before = json.loads(options.compare.read_text())
        print(f"\n{before['commit']} → {results['commit']}\n\n{report.comparison(before, results)}")


if __name__ == "__main__":
    main()
