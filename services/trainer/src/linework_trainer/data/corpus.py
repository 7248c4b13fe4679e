"""What a training may know: the drawings of a snapshot between two days, with their labels and texts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from linework_core.corpus import visible
from linework_core.errors import Unprocessable
from linework_core.recipes import Texts
from linework_core.scope import Scope
from linework_core.tables import Description, Drawing, Figure, Patent

PAGE = 5000


class NothingToTrainOn(Unprocessable):
    type, title = "nothing-to-train-on", "There is too little to train on"


@dataclass(slots=True)
class CorpusDrawings:
    """Drawings in a fixed order. `texts` has one tuple a drawing; all are empty where no texts were asked for."""

    derivatives: list[str]
    patents: list[str]
    locarno: list[str | None]
    texts: list[tuple[str, ...]]
    without_text: int = 0  # drawings that were left out because nothing describes them

    def __len__(self) -> int:
        return len(self.derivatives)


def read_corpus(
    session: Session, scope: Scope, texts: Texts | None, between_pages: Callable[[], None] = lambda: None
) -> CorpusDrawings:
    """All drawings that pass the scope, in the order of their ids; with texts only those that have one.

    Raises NothingToTrainOn for fewer than two.
    """
    described = _descriptions(session, scope, texts, between_pages) if texts and texts.source == "descriptions" else {}
    found = CorpusDrawings([], [], [], [])
    for number, row in enumerate(session.execute(_drawings(scope), execution_options={"yield_per": PAGE})):
        if number % PAGE == 0:
            between_pages()
        own = _texts_of(row, texts, described)
        if texts is not None and not own:
            found.without_text += 1
            continue
        found.derivatives.append(row.derivative)
        found.patents.append(row.patent_id)
        found.locarno.append(row.locarno)
        found.texts.append(own)
    if len(found) < 2:
        raise NothingToTrainOn(_why_nothing(found, texts))
    return found


def _drawings(scope: Scope) -> Select[*tuple[Any, ...]]:
    facts = select(Drawing.row_id, Drawing.derivative, Drawing.patent_id, Drawing.locarno, Patent.title, Figure.caption)
    joined = facts.join(Patent, Patent.row_id == Drawing.patent_row)
    joined = joined.outerjoin(Figure, Figure.row_id == Drawing.figure_row)
    return joined.where(*scope.passing(Drawing)).order_by(Drawing.drawing_id, Drawing.row_id)


def _descriptions(
    session: Session, scope: Scope, texts: Texts, between_pages: Callable[[], None]
) -> dict[int, tuple[str, ...]]:
    """The texts of each described drawing, by the drawing's row."""
    wanted = select(Description.drawing_row, Description.texts).where(visible(Description, scope.snapshot))
    if texts.provider is not None:
        wanted = wanted.where(Description.provider == texts.provider)
    if texts.captioner is not None:
        wanted = wanted.where(
            Description.captioner.is_not(None) if texts.captioner else Description.captioner.is_(None)
        )
    found = {}
    for number, (row, written) in enumerate(session.execute(wanted, execution_options={"yield_per": PAGE})):
        if number % PAGE == 0:
            between_pages()
        found[row] = tuple(one["text"] for one in written if one["text"].strip())[: texts.most]
    return found


def _texts_of(row: Any, texts: Texts | None, described: dict[int, tuple[str, ...]]) -> tuple[str, ...]:
    if texts is None:
        own: tuple[str, ...] = ()
    elif texts.source == "descriptions":
        own = described.get(row.row_id, ())
    else:
        text = row.title if texts.source == "title" else row.caption or row.title
        own = (text,) if text and text.strip() else ()
    return own


def _why_nothing(found: CorpusDrawings, texts: Texts | None) -> str:
    if texts is not None and found.without_text:
        advice = " POST /enrich writes descriptions." if texts.source == "descriptions" else ""
        return f"{found.without_text} drawings pass the filters, but fewer than two have texts to learn from.{advice}"
    return "Fewer than two drawings pass the filters."
