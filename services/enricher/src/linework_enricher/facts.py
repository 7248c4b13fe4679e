"""What is known of a drawing before anybody describes it: the facts that prompts and templates are given."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_core import locarno
from linework_core.tables import Drawing, Figure, Patent

_NOT_GIVEN = ("drawing_row", "drawing_id", "patent_id")  # numbers of patents stay out of prompts and of their hash


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one version of a drawing.

    `object`, `view`, `label` and `caption` are those of the figure that the drawing certainly shows. Where none is
    certain they are None and `captions` holds the candidates; the object is told all the same when all of them agree.
    """

    drawing_row: int
    drawing_id: str
    patent_id: str
    derivative: str
    title: str | None = None
    object: str | None = None
    view: str | None = None
    label: str | None = None
    caption: str | None = None
    captions: tuple[str, ...] = ()
    locarno: str | None = None
    locarno_class: str | None = None
    locarno_subclass: str | None = None
    claim: str | None = None

    @property
    def name(self) -> str:
        """What the drawing shows, as specifically as is known.

        The figure's own word comes before the title, and both before a class (Lo et al., 3.3): 'shoe', not 'footwear'.
        A class counts only where another source has a word for it ('Baseplate'), never a Locarno heading.
        """
        other_class = None if self.locarno_class else self.locarno
        return next((told for told in (self.object, self.title, other_class) if told and told.strip()), "article")

    def shared(self) -> dict[str, Any]:
        """What all drawings of a design have in common: nothing of the view, the figure or the picture."""
        names = ("title", "object", "locarno", "locarno_class", "locarno_subclass", "claim")
        told = {name: getattr(self, name) for name in names}
        return {name: value for name, value in told.items() if value}

    def digest(self) -> str:
        """SHA-256 over all that can be given to a model or a template, the picture by its hash."""
        given = {name: value for name, value in asdict(self).items() if name not in _NOT_GIVEN}
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def load(session: Session, drawing_rows: Sequence[int]) -> list[Facts]:
    """The facts of these rows of `drawings`, in the order given; rows that do not exist are left out."""
    statement = (
        select(Drawing, Patent, Figure)
        .join(Patent, Patent.row_id == Drawing.patent_row)
        .outerjoin(Figure, Figure.row_id == Drawing.figure_row)
        .where(Drawing.row_id.in_(drawing_rows))
    )
    found = {drawing.row_id: (drawing, patent, figure) for drawing, patent, figure in session.execute(statement)}
    figures = _figures(session, {patent.row_id for _, patent, _ in found.values()})
    return [_facts(*found[row], figures.get(found[row][1].row_id, [])) for row in drawing_rows if row in found]


def _figures(session: Session, patents: set[int]) -> dict[int, list[Figure]]:
    statement = select(Figure).where(Figure.patent_row.in_(patents)).order_by(Figure.patent_row, Figure.ordinal)
    by_patent: dict[int, list[Figure]] = {}
    for figure in session.scalars(statement):
        by_patent.setdefault(figure.patent_row, []).append(figure)
    return by_patent


def _facts(drawing: Drawing, patent: Patent, figure: Figure | None, figures: list[Figure]) -> Facts:
    heading = locarno.lookup(patent.locarno)
    subclass = heading.subclass if heading else None
    return Facts(
        drawing_row=drawing.row_id,
        drawing_id=drawing.drawing_id,
        patent_id=drawing.patent_id,
        derivative=drawing.derivative,
        title=_line(patent.title),
        object=_line(figure.object if figure else _agreed(figures)),
        view=_line(figure.view) if figure else None,
        label=_line(figure.label) if figure else None,
        caption=_line(figure.caption) if figure else None,
        captions=() if figure else tuple(" ".join(one.caption.split()) for one in figures),
        locarno=heading.code if heading else _line(patent.locarno),
        locarno_class=heading.main if heading else None,
        locarno_subclass=None if subclass == locarno.MISCELLANEOUS else subclass,
        claim=_line(patent.claim),
    )


def _agreed(figures: list[Figure]) -> str | None:
    """The object of all figures, if they name the same one: then it is certain without knowing the figure."""
    named = {figure.object.casefold(): figure.object for figure in figures if figure.object}
    return next(iter(named.values())) if len(named) == 1 else None


def _line(text: str | None) -> str | None:
    return re.sub(r"\s+", " ", text).strip() or None if text else None
