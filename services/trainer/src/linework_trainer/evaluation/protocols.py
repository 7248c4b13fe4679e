"""The protocols: who asks, what is ranked, and what counts as relevant. Definitions are in docs/evaluation.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linework_trainer.evaluation.ranking import NONE, Floats, Ints, Task
from linework_trainer.evaluation.repository import UNDATED, Drawings

Encode = Callable[[Sequence[str]], Floats]  # texts to unit rows


@dataclass(frozen=True, slots=True)
class Side:
    """What a query or an item of the database is: a drawing, by its place among them, or a text."""

    drawings: Ints  # (n,) places; of a text the drawing that it was written for
    texts: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A task, with what its queries and items are, and the class of each query (NONE: it has none)."""

    task: Task
    asking: Side
    asked: Side
    classes: Ints


@dataclass(frozen=True, slots=True)
class TextSide:
    """Texts to compare drawings with, and the group of designs that each tells of."""

    texts: list[str]
    groups: Ints  # (t,)
    of_drawings: Ints  # (n,) the group of each drawing; NONE where no text tells of it
    written_for: Ints  # (t,) one of the drawings
    askable: NDArray[np.bool_]  # (n,) drawings of whose design some text tells


class Names:
    """Numbers for names, in the order in which they first come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, names: Iterable[str | None]) -> Ints:
        """The number of each name; NONE for None."""
        numbers = self._numbers
        return np.array([NONE if n is None else numbers.setdefault(n, len(numbers)) for n in names], dtype=np.int64)

    def all(self) -> list[str]:
        """The names, by their numbers."""
        return list(self._numbers)

    def known(self, names: Iterable[str]) -> list[int]:
        """The numbers of those names that have one."""
        return sorted(self._numbers[name] for name in names if name in self._numbers)


def same_patent(drawings: Drawings, queries: Ints, classes: Ints) -> Trial:
    """DeepPatent: a drawing looks for the other drawings of its patent, among all. No dates: they share theirs."""
    patents, own = Names()(drawings.patents), np.arange(len(drawings.ids))
    task = Task(
        queries=drawings.vectors[queries], database=drawings.vectors, wanted=patents[queries, None], groups=patents,
        askers=queries, owners=own,
    )  # fmt: skip
    return Trial(task, Side(queries), Side(own), classes[queries])


def class_temporal(drawings: Drawings, queries: Ints, classes: Ints) -> Trial:
    """Lo et al.: a drawing looks for drawings of its Locarno subclass, among those dated before it."""
    return _dated(drawings, queries, classes, wanted=classes[queries, None], groups=classes)


def citation_temporal(drawings: Drawings, queries: Ints, classes: Ints, citations: Iterable[tuple[str, str]]) -> Trial:
    """A drawing looks for the drawings of the patents that its patent cites, among those dated before it."""
    names = Names()
    patents = names(drawings.patents)
    cited: dict[str, list[str]] = {}
    for citing, other in citations:
        cited.setdefault(citing, []).append(other)
    wanted = [names.known(cited.get(drawings.patents[query], ())) for query in queries]
    return _dated(drawings, queries, classes, wanted=_padded(wanted), groups=patents)


def _dated(drawings: Drawings, queries: Ints, classes: Ints, *, wanted: Ints, groups: Ints) -> Trial:
    patents, everything = Names()(drawings.patents), np.arange(len(drawings.ids))
    task = Task(
        queries=drawings.vectors[queries], database=drawings.vectors, wanted=wanted, groups=groups,
        askers=patents[queries], owners=patents, before=drawings.days[queries], dates=drawings.days,
    )  # fmt: skip
    return Trial(task, Side(queries), Side(everything), classes[queries])


def text_to_drawing(drawings: Drawings, queries: Ints, classes: Ints, texts: TextSide, encode: Encode) -> Trial:
    """A text looks for the drawings of the design that it tells of, among all: by vectors alone, without words.

    `queries` are places of texts.
    """
    everything = np.arange(len(drawings.ids))
    written_for = texts.written_for[queries]
    chosen = [texts.texts[query] for query in queries]
    task = Task(
        queries=encode(chosen), database=drawings.vectors, wanted=texts.groups[queries, None],
        groups=texts.of_drawings, askers=np.full(len(queries), NONE), owners=np.full(len(everything), NONE),
    )  # fmt: skip
    return Trial(task, Side(written_for, chosen), Side(everything), classes[written_for])


def drawing_to_text(drawings: Drawings, queries: Ints, classes: Ints, texts: TextSide, encode: Encode) -> Trial:
    """A drawing looks for the texts that tell of its design, among all texts."""
    task = Task(
        queries=drawings.vectors[queries], database=encode(texts.texts), wanted=texts.of_drawings[queries, None],
        groups=texts.groups, askers=np.full(len(queries), NONE), owners=np.full(len(texts.texts), NONE),
    )  # fmt: skip
    return Trial(task, Side(queries), Side(texts.written_for, texts.texts), classes[queries])


def from_titles(drawings: Drawings, titles: Mapping[str, str]) -> TextSide:
    """Titles, each once: all designs of one title are one group."""
    plain = {patent: " ".join(title.split()) for patent, title in titles.items()}
    names = Names()
    groups = names(plain[patent].casefold() if patent in plain else None for patent in drawings.patents)
    askable = groups != NONE
    _, first = np.unique(groups[askable], return_index=True)
    written_for = np.flatnonzero(askable)[first]
    texts = [plain[drawings.patents[place]] for place in written_for]
    return TextSide(texts, np.arange(len(texts)), groups, written_for, askable)


def from_descriptions(
    drawings: Drawings, described: Iterable[tuple[int, list[str]]], dice: np.random.Generator
) -> TextSide:
    """One text of each described drawing, drawn at random; a design's texts and drawings are one group."""
    places = {row: place for place, row in enumerate(drawings.rows)}
    found = [(places[row], texts) for row, texts in described if row in places and texts]
    chosen = [texts[int(dice.integers(len(texts)))] for _, texts in found]
    written_for = np.array([place for place, _ in found], dtype=np.int64)
    patents = Names()(drawings.patents)
    groups = patents[written_for]
    return TextSide(chosen, groups, patents, written_for, np.isin(patents, groups))


def choose(candidates: NDArray[np.bool_], sample: int | None, dice: np.random.Generator) -> Ints:
    """Places of the candidates, at most `sample` of them, drawn at random."""
    places = np.flatnonzero(candidates)
    return places if sample is None or sample >= len(places) else np.sort(dice.choice(places, sample, replace=False))


def within(days: Ints, after: int | None, before: int | None) -> NDArray[np.bool_]:
    """The days from `after` on and before `before`; the undated only where neither is asked for."""
    inside = np.ones(len(days), dtype=bool) if after is None and before is None else days != UNDATED
    if after is not None:
        inside &= days >= after
    return inside & (days < before) if before is not None else inside


def _padded(rows: Sequence[Sequence[int]]) -> Ints:
    widest = max([1, *map(len, rows)])
    padded = [[*row, *[NONE] * (widest - len(row))] for row in rows]
    return np.array(padded, dtype=np.int64).reshape(len(rows), widest)
