"""Reading the corpus as it is now."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from linework_api.patents.links import picture_links
from linework_api.patents.schemas import CitationView, DrawingView, FigureView, PatentView, SheetView
from linework_api.state import Resources
from linework_core import erasures, patent_ids, store
from linework_core.bounded import Cut
from linework_core.corpus import visible
from linework_core.db import transaction
from linework_core.errors import NotFound
from linework_core.imaging import LONG_SIDE
from linework_core.tables import Citation, Drawing, Figure, Patent, Sheet


def find_patent(session: Session, patent_id: str, snapshot: int | None = None) -> Patent:
    """A patent, whose id may come as people write it, as it is now or was at a snapshot. Raises NotFound."""
    named = Patent.patent_id == patent_ids.resolve_one(session, patent_id)
    patent = session.scalars(select(Patent).where(named, _true(Patent, snapshot))).one_or_none()
    if patent is None:
        erasures.check_patent(session, patent_id)
        raise NotFound(f"There is no patent {patent_id}{_at(snapshot)}.")
    return patent


def _true(table: Any, snapshot: int | None) -> ColumnElement[bool]:
    return table.removed_in.is_(None) if snapshot is None else visible(table, snapshot)


def _at(snapshot: int | None) -> str:
    return "" if snapshot is None else f" at snapshot {snapshot}"


def read_patent(session: Session, patent: Patent) -> PatentView:
    """A patent with its figures, citations, sheets and the ids of its drawings."""
    sheets = _of(session, Sheet, patent, Sheet.number)
    drawings = _of(session, Drawing, patent, Drawing.number)
    facts = {name: getattr(patent, name) for name in PatentView.model_fields if hasattr(patent, name)}
    facts["family"] = [dict(link) for link in patent.family]
    return PatentView.model_validate(
        facts
        | {
            "id": patent.patent_id,
            "figures": [_view(FigureView, row) for row in _of(session, Figure, patent, Figure.ordinal)],
            "citations": [_view(CitationView, row) for row in _of(session, Citation, patent, Citation.row_id)],
            "sheets": [_view(SheetView, row, id=row.sheet_id, layout=row.layout or None) for row in sheets],
            "drawings": [row.drawing_id for row in drawings],
        }
    )


def _of(session: Session, table: Any, patent: Patent, order: Any) -> Sequence[Any]:
    return session.scalars(select(table).where(table.patent_row == patent.row_id).order_by(order)).all()


V = TypeVar("V", bound=BaseModel)


def _view(view: type[V], row: Any, **more: Any) -> V:
    fields = {name: getattr(row, name) for name in view.model_fields if name not in more}
    return view.model_validate(fields | more)


def find_drawing(session: Session, drawing_id: str, snapshot: int | None = None) -> Drawing:
    """A drawing as it is now, or was at a snapshot. Raises NotFound."""
    wanted = select(Drawing).where(Drawing.drawing_id == drawing_id, _true(Drawing, snapshot))
    drawing = session.scalars(wanted).one_or_none()
    if drawing is None:
        erasures.check_drawing(session, drawing_id)
        raise NotFound(f"There is no drawing {drawing_id}{_at(snapshot)}.")
    return drawing


def read_drawing(session: Session, drawing: Drawing) -> DrawingView:
    """A drawing with its figure where that is certain, and all its patent's figures else."""
    sheet = session.get_one(Sheet, drawing.sheet_row)
    figure = session.get_one(Figure, drawing.figure_row) if drawing.figure_row else None
    patent = session.get_one(Patent, drawing.patent_row)
    candidates = [] if figure else _of(session, Figure, patent, Figure.ordinal)
    links = picture_links(drawing.drawing_id, drawing.added_in)
    return _view(
        DrawingView,
        drawing,
        id=drawing.drawing_id,
        patent=drawing.patent_id,
        sheet=sheet.sheet_id,
        figure=_view(FigureView, figure) if figure else None,
        candidates=[_view(FigureView, row) for row in candidates],
        **links,
    )


class Pictured(Protocol):
    """What has a picture: a drawing's row, or what a search shows of it."""

    @property
    def original(self) -> str: ...
    @property
    def derivative(self) -> str: ...


def pictured(engine: Engine, drawing_id: str, snapshot: int | None) -> tuple[Drawing, Cut | None]:
    """A drawing and where on its original it is; nothing is held while its picture is made. Raises NotFound."""
    with transaction(engine) as session:
        drawing = find_drawing(session, drawing_id, snapshot)
        return drawing, cut_of(session, drawing)


def cut_of(session: Session, drawing: Drawing) -> Cut | None:
    """Where on its original a drawing is, if the original is a sheet that was split or turned."""
    sheet = session.get_one(Sheet, drawing.sheet_row)
    if not sheet.layout or drawing.box is None:
        return None
    left, top, width, height = drawing.box
    return (left, top, width, height), int(sheet.layout["turned"])


def read_image(
    resources: Resources, drawing: Pictured, size: int | None, cut: Cut | None = None, *, caller: str
) -> bytes:
    """PNG bytes: the derivative, smaller from it, or larger from the original (never enlarged), which may be cut."""
    if size is None or size == LONG_SIDE:
        return store.get(resources.store, store.derivative_key(drawing.derivative))
    if size < LONG_SIDE:
        derivative = store.get(resources.store, store.derivative_key(drawing.derivative))
        return resources.decoder.thumbnail(derivative, size, caller=caller)
    original = store.get(resources.store, store.original_key(drawing.original))
    return resources.decoder.thumbnail(original, size, cut, caller=caller)
