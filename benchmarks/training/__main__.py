"""Trains the papers' methods and Linework's own, and judges them alike.

    LINEWORK_DATA=… python -m benchmarks.training prepare            # the corpora, once
    python -m benchmarks.training rows [--images 30000] [--only ArcFace] [--seed 0]
    python -m benchmarks.training judge hog sift-fv                  # encoders that need no training
    python -m benchmarks.training train linework-mini [--overrides '{…}']
    python -m benchmarks.training join linework-mini hog lbp --into …/shipped/linework-mini
    python -m benchmarks.training patents checkpoint:… classic hog     # gains on real patents, and titles
    python -m benchmarks.training table

Everything goes through the jobs that an installation runs. `--folder` keeps databases and checkpoints.
"""

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.training import corpora, joining, judging, patents, report
from benchmarks.training.corpora import Corpus
from benchmarks.training.rows import IMAGES, ROWS, merged
from linework_core import logs
from linework_core.corpus import current_snapshot
from linework_core.db import transaction
from linework_core.recipes import TrainingOrder
from linework_trainer.training.job import train

console = Console()
Open = Callable[[str], Corpus]
ATTRIBUTIONS = ["Rendered from The LDraw Parts Library (www.ldraw.org), CC BY 2.0."]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/linework-training"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare")
    rows = commands.add_parser("rows")
    rows.add_argument("--images", type=int, default=IMAGES)
    rows.add_argument("--only")
    commands.add_parser("judge").add_argument("specs", nargs="+")
    one = commands.add_parser("train")
    one.add_argument("recipe")
    one.add_argument("--name")
    one.add_argument("--overrides", type=json.loads, default={})
    beside = commands.add_parser("join")
    beside.add_argument("name", help="of a network that was trained here")
    beside.add_argument("descriptors", nargs="*")
    beside.add_argument("--into", type=Path, required=True)
    real = commands.add_parser("patents")
    real.add_argument("spec")
    real.add_argument("others", nargs="+", help="encoders that it is compared with")
    commands.add_parser("table")
    asked = parser.parse_args()
    logs.configure("benchmark", "WARNING")
    # what is loaded by name, such as checkpoints, is found where the corpora keep it
    os.environ["OBJECT_STORE_URL"] = (asked.folder / "store").absolute().as_uri()
    os.environ["CACHE_DIR"] = str(asked.folder / "cache")
    _do(asked)


def _do(asked: argparse.Namespace) -> None:
    results = Results(asked.out)
    if asked.command == "prepare":
        corpora.prepare(asked.folder, Path(os.environ["LINEWORK_DATA"]))
    elif asked.command == "patents":
        patents.show(asked.spec, asked.others, console)
    elif asked.command == "table":
        console.print(report.markdown(results.rows), markup=False, soft_wrap=True)
    else:
        with corpora.opened(asked.folder) as corpus:
            if asked.command == "judge":
                for spec in asked.specs:
                    results.add(spec, {"judged": _judged(corpus, spec)})
            elif asked.command == "join":
                joining.join(corpus("objects"), results.rows[asked.name]["spec"], asked.descriptors, asked.into)
            elif asked.command == "train":
                name = asked.name or asked.recipe
                results.add(name, _trained(corpus, name, asked.recipe, asked.overrides, asked.seed))
            else:
                for row in ROWS:
                    if asked.only is None or asked.only in row.name:
                        told = _trained(corpus, row.name, row.recipe, row.overrides(asked.images), asked.seed)
                        results.add(row.name, told)


def _trained(corpus: Open, name: str, recipe: str, overrides: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train on `objects`, and judge on the others."""
    objects = corpus("objects")
    with transaction(objects.engine) as session:
        snapshot = current_snapshot(session)
    order = TrainingOrder(
        recipe=recipe, overrides=merged(overrides, {"seed": seed}), name=name, attributions=ATTRIBUTIONS
    )
    handler = partial(train, settings=objects.settings, objects=objects.objects)
    done = objects.do("train", handler, **order.model_dump(mode="json"), snapshot=snapshot)
    told = {name: done[name] for name in ("encoder", "spec", "images", "seconds", "data", "last_step")}
    console.print(name, told, markup=False)
    return {**told, "recipe": recipe, "seed": seed, "judged": _judged(corpus, done["spec"])}


def _judged(corpus: Open, spec: str) -> dict[str, Any]:
    return {name: judging.judge(corpus(name), spec) for name in judging.ASKED}


class Results:
    """What was measured, by row, in a file that is written after each."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def add(self, name: str, told: dict[str, Any]) -> None:
        self.rows[name] = told
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self.rows, indent=1) + "\n")
        console.print(report.markdown({name: told}), markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
