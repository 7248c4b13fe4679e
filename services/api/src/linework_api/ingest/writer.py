"""Writing a patent's version: its rows, in one transaction, after its pictures are in the object store."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_core import corpus
from linework_core.fulltext import words_of
from linework_core.records import PatentRecord, Rejected
from linework_core.tables import Citation, Corpus, Drawing, Figure, Patent, Sheet
from linework_core.views import view_class

Row = TypeVar("Row", Sheet, Drawing)


@dataclass(frozen=True, slots=True)
class Picture:
    """A sheet or cut whose original and derivative are stored. Sizes in pixels."""

    original: str
    derivative: str
    original_size: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record whose pictures have been read: by sheet number, and by drawing number where a source cuts.
    `broken` names those that could not be; the rest of the patent is searchable all the same.
    """

    record: PatentRecord
    digest: str
    sheets: dict[int, Picture] = field(default_factory=dict)
    cuts: dict[int, Picture] = field(default_factory=dict)
    broken: list[Rejected] = field(default_factory=list)


def digest_of(record: PatentRecord, originals: Sequence[str]) -> str:
    """What tells a corrected record from a repeated one: its facts and the SHA-256 of each picture."""
    return hashlib.sha256("\n".join([record.facts_digest(), *originals]).encode()).hexdigest()


def newest_versions(session: Session, patent_ids: Sequence[str]) -> dict[str, Patent]:
    """The last version of each patent, open or closed."""
    last = select(func.max(Patent.row_id)).where(Patent.patent_id.in_(patent_ids)).group_by(Patent.patent_id)
    return {patent.patent_id: patent for patent in session.scalars(select(Patent).where(Patent.row_id.in_(last)))}


def reason_to_skip(record: PatentRecord, digest: str, known: Patent | None) -> str | None:
    """Why a record adds nothing to what is known, or None if it does."""
    if known is None:
        return None
    if known.digest == digest:
        return "unchanged" if known.removed_in is None else "withdrawn"
    if known.removed_in is None and known.source == "uspto" and record.source != "uspto":
        return "full-text-known"
    return None


def lock(session: Session) -> None:
    """Let one transaction at a time change the corpus, so that two ingests act one after the other."""
    session.execute(select(Corpus.snapshot).with_for_update())


def add_version(session: Session, prepared: Prepared, known: Patent | None, job_id: UUID, snapshot: int) -> Patent:
    """Write a new version and close the open one. Text without drawings keeps the drawings that are there."""
    before = known if known is not None and known.removed_in is None else None
    if before is not None:
        corpus.close_patent(session, before, snapshot)
        session.flush()
    patent = _patent(prepared, job_id, snapshot)
    session.add(patent)
    session.flush()
    figures = _add_figures(session, patent, prepared.record)
    if prepared.record.drawings or before is None:
        _add_drawings(session, patent, prepared, figures, snapshot)
    else:
        _keep_drawings(session, patent, before, figures, snapshot)
    session.flush()
    if before is not None:
        corpus.carry_vectors_over(session, before, patent, snapshot)
    return patent


def _patent(prepared: Prepared, job_id: UUID, snapshot: int) -> Patent:
    record = prepared.record
    plain = (
        *("office", "number", "kind", "title", "claim", "application", "hague", "extra", "source"),
        *("granted", "filed", "priority", "locarno", "locarno_edition"),
    )
    return Patent(
        patent_id=record.id,
        digest=prepared.digest,
        locarno_further=list(record.locarno_further),
        family=[asdict(link) for link in record.family],
        family_keys=list(record.family_keys),
        job_id=job_id,
        added_in=snapshot,
        **{name: getattr(record, name) for name in plain},
    )


def _add_figures(session: Session, patent: Patent, record: PatentRecord) -> dict[str, Figure]:
    """Rows of figures (returned by number) and citations."""
    figures = [
        Figure(patent_row=patent.row_id, ordinal=ordinal, **asdict(figure))
        for ordinal, figure in enumerate(record.figures, start=1)
    ]
    session.add_all(figures)
    session.add_all(Citation(patent_row=patent.row_id, **asdict(citation)) for citation in record.citations)
    session.flush()
    return {figure.number: figure for figure in figures}


def _add_drawings(
    session: Session, patent: Patent, prepared: Prepared, figures: dict[str, Figure], snapshot: int
) -> None:
    record = prepared.record
    rows: dict[int, Sheet] = {}
    for sheet in record.sheets:
        picture = prepared.sheets.get(sheet.number)
        if picture is None:
            continue
        width, height = picture.original_size
        rows[sheet.number] = Sheet(
            sheet_id=sheet.id, patent_row=patent.row_id, number=sheet.number, role=sheet.role,
            original=picture.original, width=width, height=height,
        )  # fmt: skip
    session.add_all(rows.values())
    session.flush()
    for cut in record.drawings:
        picture = prepared.cuts.get(cut.number) if cut.read else prepared.sheets.get(cut.sheet)
        if picture is None or cut.sheet not in rows:
            continue
        sheet_row = rows[cut.sheet]
        drawing = Drawing(
            drawing_id=f"{sheet_row.sheet_id}_{cut.number}", sheet_row=sheet_row.row_id, number=cut.number,
            box=list(cut.box) if cut.box else None, original=picture.original, derivative=picture.derivative,
            width=picture.size[0], height=picture.size[1],
        )  # fmt: skip
        _state_facts(drawing, patent, figures, figures.get(cut.figure or ""), snapshot)
        session.add(drawing)


def _keep_drawings(session: Session, patent: Patent, before: Patent, figures: dict[str, Figure], snapshot: int) -> None:
    """Give the new version the old one's sheets and drawings; figures are linked anew by their numbers."""
    statement = select(Drawing, Sheet, Figure.number).join(Sheet, Sheet.row_id == Drawing.sheet_row)
    statement = statement.outerjoin(Figure, Figure.row_id == Drawing.figure_row)
    was = session.execute(statement.where(Drawing.patent_row == before.row_id)).all()
    sheets = session.scalars(select(Sheet).where(Sheet.patent_row == before.row_id)).all()
    kept = {sheet.row_id: _copy(sheet, patent_row=patent.row_id) for sheet in sheets}
    session.add_all(kept.values())
    session.flush()
    for old, sheet, number in was:
        drawing = _copy(old, sheet_row=kept[sheet.row_id].row_id, removed_in=None)
        _state_facts(drawing, patent, figures, figures.get(number or ""), snapshot)
        session.add(drawing)


def _copy(row: Row, **changed: object) -> Row:
    columns = [column.key for column in type(row).__table__.columns if column.key != "row_id"]
    return type(row)(**{name: getattr(row, name) for name in columns} | changed)


def _state_facts(
    drawing: Drawing, patent: Patent, figures: dict[str, Figure], figure: Figure | None, snapshot: int
) -> None:
    """The facts that searches filter by, and the words that they look for, beside the drawing."""
    drawing.patent_row, drawing.patent_id = patent.row_id, patent.patent_id
    drawing.office, drawing.locarno = patent.office, patent.locarno
    drawing.granted, drawing.filed, drawing.priority = patent.granted, patent.filed, patent.priority
    drawing.figure_row = figure.row_id if figure else None
    drawing.view = view_class(figure.view) if figure else None
    drawing.words = _words(patent, [figure] if figure else list(figures.values()))
    drawing.added_in = snapshot


def _words(patent: Patent, figures: list[Figure]) -> Any:
    """Title and objects with weight A, captions with weight B; of all figures where it is not certain which."""
    named = " ".join({text: None for text in (patent.title, *(f.object for f in figures)) if text})
    captions = " ".join(figure.caption for figure in figures)
    return words_of(named, captions)
