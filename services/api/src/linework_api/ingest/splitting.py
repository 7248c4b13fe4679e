"""Splitting a record's sheets into drawings: which records, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linework_api.sheets.accounts import Account, settle
from linework_api.sheets.reading import Piece, SheetRead
from linework_core.records import DrawingSource, PatentRecord

RECIPE = "sheets-1"  # part of a version's digest: a new recipe makes new versions when packages are read again


@dataclass(frozen=True, slots=True)
class Split:
    """The drawings of a record's sheets, with the picture of each by its number, and the layout of each sheet:
    `state` (split, single or whole), `reason` (why it stays whole), `labels` and `turned` (degrees clockwise).
    """

    drawings: list[DrawingSource] = field(default_factory=list)
    pieces: dict[int, Piece] = field(default_factory=dict)
    layouts: dict[int, dict[str, Any]] = field(default_factory=dict)


def figures_to_find(record: PatentRecord) -> tuple[str, ...]:
    """The numbers of a record's figures, if its drawings are whole sheets; none where its source has cut them."""
    sheets = [drawing.sheet for drawing in record.drawings]
    cut = any(drawing.read is not None or drawing.box is not None for drawing in record.drawings)
    return () if cut or len(set(sheets)) < len(sheets) else tuple(figure.number for figure in record.figures)


def resolve(record: PatentRecord, reads: Mapping[int, SheetRead]) -> Split:
    """What is certain of all sheets of a record together. `reads` are its sheets by number, less those that are broken.

    Drawings are numbered in the order of the sheets. Where no sheet has a label the record's own links count.
    """
    labels = {drawing.sheet: _labels(reads.get(drawing.sheet)) for drawing in record.drawings}
    accounts = settle(labels, [figure.number for figure in record.figures])
    split = Split()
    for whole in record.drawings:
        read, account = reads.get(whole.sheet), accounts[whole.sheet]
        if not any(labels.values()):
            account = Account(whole.figure is not None, (whole.figure,), None if whole.figure else "no-label")
        _take(split, whole.sheet, read, account)
    return split


def _labels(read: SheetRead | None) -> tuple[str | None, ...]:
    return read.figures if read is not None else ()


def _take(split: Split, sheet: int, read: SheetRead | None, account: Account) -> None:
    """Add the drawings of one sheet."""
    if read is None:  # it keeps its number, so that the others' do not change when it is repaired
        split.drawings.append(DrawingSource(sheet, len(split.drawings) + 1))
        return
    certain = account.certain and (bool(read.parts) or not read.figures)
    alone = len(account.figures) == 1
    pieces = read.parts if certain and not alone else (read.whole,)
    for piece, figure in zip(pieces, account.figures if certain else (None,), strict=True):
        number = len(split.drawings) + 1
        split.drawings.append(DrawingSource(sheet, number, figure, piece.box))
        split.pieces[number] = piece
    split.layouts[sheet] = {
        "state": ("single" if alone else "split") if certain else "whole",
        "reason": None if certain else account.reason or read.reason,
        "labels": [label for label in read.figures if label is not None],
        "turned": read.turned,
    }
