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

    The figures that no label names are missing. If there are as many as sheets without labels, each of these shows
    one; else a figure whose label was overlooked may stand beside the one before it or after it, and what
    is on their sheets is not certain.
    """
    sheets = _with_last(sheets, figures)
    read = Counter(number for labels in sheets.values() for number in labels if number is not None)
    missing = [figure for figure in figures if figure not in read]
    unread = sum(labels.count(None) for labels in sheets.values())
    bare = [sheet for sheet, labels in sheets.items() if not labels]
    left = len(missing) - unread  # figures without any label
    near = _beside(missing, figures) if left > len(bare) else set()
    shown = _in_order(sheets, missing, figures) if left == len(bare) and not unread else {}
    settled = {}
    for sheet, labels in sheets.items():
        if any(read[number] > 1 for number in labels if number is not None):
            settled[sheet] = Account(False, (None,), "label-repeated")
        elif not labels:
            certain = left == len(bare)
            settled[sheet] = Account(certain, (shown.get(sheet),), None if certain else "no-label")
        elif near & set(labels) or (None in labels and left < 0):
            settled[sheet] = Account(False, (None,), "not-accounted-for")
        else:
            settled[sheet] = Account(True, labels)
    return settled


def _with_last(sheets: Mapping[int, Labels], figures: Sequence[str]) -> dict[int, Labels]:
    """If one label was found and not read, and one figure is left, the label is that figure's."""
    read = {number for labels in sheets.values() for number in labels}
    missing = [figure for figure in figures if figure not in read]
    if len(missing) != 1 or sum(labels.count(None) for labels in sheets.values()) != 1 or not all(sheets.values()):
        return dict(sheets)
    return {sheet: tuple(label or missing[0] for label in labels) for sheet, labels in sheets.items()}


def _beside(missing: Sequence[str], figures: Sequence[str]) -> set[str | None]:
    """Figures before and after those, in the order of the text; an unread label may be any of them."""
    places = [figures.index(figure) for figure in missing]
    beside: set[str | None] = {figures[k + step] for k in places for step in (-1, 1) if 0 <= k + step < len(figures)}
    return beside | {None}


def _in_order(sheets: Mapping[int, Labels], missing: Sequence[str], figures: Sequence[str]) -> dict[int, str]:
    """The missing figures one for each bare sheet, if all figures then stand in the order of the text."""
    rest = iter(missing)
    shown = {sheet: next(rest) for sheet, labels in sheets.items() if not labels}
    placed = [sorted(figures.index(n) for n in labels or (shown[s],) if n) for s, labels in sheets.items()]
    flat = [place for places in placed for place in places]
    return shown if flat == sorted(flat) else {}
