"""Which drawings the sheets of one patent have, from what was made out on each and what the text names.

A label that was read is believed only as far as the labels of all sheets agree with the figures of the text.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Labels = tuple[str | None, ...]  # of one sheet: the figure of each of its labels, None where it was not read


@dataclass(frozen=True, slots=True)
class Account:
    """What is certain of one sheet: whether its labels count its drawings, the figure of each drawing (one for a
    sheet that is not split), and why not where it is not certain.
    """

    certain: bool
    figures: Labels
    reason: str | None = None


def settle(sheets: Mapping[int, Labels], figures: Sequence[str]) -> dict[int, Account]:
    """An account of each sheet. `sheets` are all that show drawings, in order, with their labels; () where none was
    found. `figures` are the numbers that the text names, in its order.

    The figures that no label names are missing. If there are as many as labels that were not read and sheets without
    labels, these show one each; if there are more, a figure whose label was overlooked may stand beside the one
    before it or after it, and what is on their sheets is not certain.
    """
    read = Counter(number for labels in sheets.values() for number in labels if number is not None)
    missing = [figure for figure in figures if figure not in read]
    free = {sheet: labels.count(None) if labels else 1 for sheet, labels in sheets.items()}
    over = len(missing) - sum(free.values())
    near = _beside(missing, figures) if over > 0 else set()
    shown = _in_order(sheets, free, missing, figures) if over == 0 else {}
    settled = {}
    for sheet, labels in sheets.items():
        if any(read[number] > 1 for number in labels if number is not None):
            settled[sheet] = Account(False, (None,), "label-repeated")
        elif not labels:
            settled[sheet] = Account(over == 0, (shown.get(sheet),), None if over == 0 else "no-label")
        elif near & set(labels) or (None in labels and over < 0):
            settled[sheet] = Account(False, (None,), "not-accounted-for")
        else:
            settled[sheet] = Account(True, tuple(label or shown.get(sheet) for label in labels))
    return settled


def _beside(missing: Sequence[str], figures: Sequence[str]) -> set[str | None]:
    """Figures before and after those, in the order of the text; an unread label may be any of them."""
    places = [figures.index(figure) for figure in missing]
    beside: set[str | None] = {figures[k + step] for k in places for step in (-1, 1) if 0 <= k + step < len(figures)}
    return beside | {None}


def _in_order(
    sheets: Mapping[int, Labels], free: Mapping[int, int], missing: Sequence[str], figures: Sequence[str]
) -> dict[int, str]:
    """The missing figure of each sheet that has room for one, if all figures then stand in the order of the text."""
    rest = iter(missing)
    given = {sheet: [next(rest) for _ in range(count)] for sheet, count in free.items()}
    placed: list[int] = []
    for sheet, labels in sheets.items():
        named = [number for number in labels if number is not None]
        placed += sorted(figures.index(number) for number in (*named, *given[sheet]))
    if placed != sorted(placed):
        return {}
    return {sheet: numbers[0] for sheet, numbers in given.items() if len(numbers) == 1}
