"""How well captions are parsed, against captions that people tagged (DeepPatent2's `bio-train.txt`).

    LINEWORK_DATA=… python benchmarks/captions.py [--errors 20]

The file has one token a line with B-/I-/O tags of OBJECT and ASPECT (our view). It is split by a hash of the
caption, and the rules were written looking at misread captions of the development part only. Captions of one patent
resemble each other and fall into both parts, so captions whose object the development part does not have are
measured apart: they come nearest to patents never seen. Each caption counts once, however often the file repeats it.
"""

import argparse
import hashlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from linework_api.ingest.captions import parse, split_label, tidy

TAGS = {"ASPECT": "view", "OBJECT": "object"}
HELD_OUT = 3  # one caption in three


@dataclass(frozen=True)
class Tagged:
    """A caption as tokens, with the positions of the tokens of each tag and its spans."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.tokens)

    @property
    def held_out(self) -> bool:
        return hashlib.sha256(self.text.encode()).digest()[0] % HELD_OUT == 0

    @property
    def is_caption(self) -> bool:
        return split_label(tidy(self.text)) is not None

    @property
    def objects(self) -> set[str]:
        return {" ".join(self.tokens[a:b]).lower() for a, b in self.spans("OBJECT")}

    def spans(self, tag: str) -> set[tuple[int, int]]:
        starts = [i for i, t in enumerate(self.tags) if t == f"B-{tag}"]
        return {(i, self._end(i, f"I-{tag}")) for i in starts}

    def _end(self, start: int, inside: str) -> int:
        end = start + 1
        while end < len(self.tags) and self.tags[end] == inside:
            end += 1
        return end


@dataclass
class Counts:
    hit: int = 0
    predicted: int = 0
    true: int = 0

    def add(self, predicted: set[int] | set[tuple[int, int]], true: set[int] | set[tuple[int, int]]) -> None:
        self.hit += len(predicted & true)
        self.predicted += len(predicted)
        self.true += len(true)

    def row(self) -> list[str]:
        precision = self.hit / self.predicted if self.predicted else 0.0
        recall = self.hit / self.true if self.true else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return [f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", str(self.true)]


def read_tagged(path: Path) -> list[Tagged]:
    """The distinct tagged captions of a CoNLL file, in its order. It is encoded in Windows-1252."""
    found: dict[Tagged, None] = {}
    for block in re.split(r"\n\s*\n", path.read_text(encoding="cp1252", errors="replace")):
        pairs = [line.rsplit(" ", 1) for line in block.splitlines() if " " in line.strip()]
        if pairs:
            found[Tagged(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))] = None
    return list(found)


def locate(phrase: str | None, tokens: tuple[str, ...], after: int = 0) -> set[tuple[int, int]]:
    """Where a phrase stands among the tokens, compared without spaces ('front, top' is 'front' ',' 'top')."""
    if phrase is None:
        return set()
    wanted = phrase.replace(" ", "")
    for start in range(after, len(tokens)):
        text = ""
        for end in range(start, len(tokens)):
            text += tokens[end].replace(" ", "")
            if text == wanted:
                return {(start, end + 1)}
            if not wanted.startswith(text):
                break
    return set()


def predicted_spans(caption: Tagged) -> dict[str, set[tuple[int, int]]]:
    parsed = parse(caption.text)
    view = locate(parsed.view, caption.tokens)
    after = max((end for _, end in view), default=0)
    return {"ASPECT": view, "OBJECT": locate(parsed.object, caption.tokens, after)}


def covered(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {i for start, end in spans for i in range(start, end)}


def measure(captions: list[Tagged]) -> dict[tuple[str, str], Counts]:
    counts = {(tag, kind): Counts() for tag in TAGS for kind in ("exact span", "tokens")}
    for caption in captions:
        predicted = predicted_spans(caption)
        for tag in TAGS:
            true = caption.spans(tag)
            counts[tag, "exact span"].add(predicted[tag], true)
            counts[tag, "tokens"].add(covered(predicted[tag]), covered(true))
    return counts


def add_rows(table: Table, scope: str, captions: list[Tagged]) -> None:
    for (tag, kind), counts in measure(captions).items():
        table.add_row(scope, str(len(captions)), tag, kind, *counts.row())


def show_errors(console: Console, captions: list[Tagged], limit: int) -> None:
    """Development captions that are read otherwise than tagged."""
    shown = 0
    for caption in captions:
        predicted = predicted_spans(caption)
        wrong = [tag for tag in TAGS if predicted[tag] != caption.spans(tag)]
        if wrong and shown < limit:
            shown += 1
            parsed = parse(caption.text)
            console.print(caption.text, highlight=False, markup=False)
            for tag in wrong:
                true = [" ".join(caption.tokens[a:b]) for a, b in sorted(caption.spans(tag))]
                console.print(f"    {tag}: tagged {true}, read {getattr(parsed, TAGS[tag])!r}", markup=False)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--errors", type=int, default=0, help="show so many misread development captions")
    options = arguments.parse_args()
    path = Path(os.environ["LINEWORK_DATA"]) / "deeppatent2" / "captions" / "bio-train.txt"
    everything = read_tagged(path)
    console = Console()
    parts = {
        "development": [c for c in everything if not c.held_out],
        "held out": [c for c in everything if c.held_out],
    }
    seen = {thing for caption in parts["development"] for thing in caption.objects}
    unseen = [c for c in parts["held out"] if c.objects and not c.objects & seen]
    table = Table("part", "captions", "tag", "measured on", "precision", "recall", "F1", "tagged")
    for name, part in parts.items():
        labelled = [c for c in part if c.is_caption]
        add_rows(table, f"{name}, all sentences", part)
        add_rows(table, f"{name}, figure captions", labelled)
    add_rows(table, "held out, unseen objects", unseen)
    console.print(table)
    start = time.perf_counter()
    for caption in everything:
        parse(caption.text)
    console.print(f"{len(everything) / (time.perf_counter() - start):,.0f} captions a second")
    show_errors(console, parts["development"], options.errors)


if __name__ == "__main__":
    main()
