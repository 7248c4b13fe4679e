"""Writing a patent's version: its rows, in one transaction, after its pictures are in the object store."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_core import corpus
from linework_core.fulltext import words_of
from linework_core.records import PatentRecord, Rejected
from linework_core.tables import Citation, Corpus, Drawing, Figure, Patent, Sheet
from linework_core.views import view_class

Row = TypeVar("Row", Patent, Sheet, Figure, Citation, Drawing)

OFFICES = ("uspto",)  # whose own documents count over what a data set tells of them


@dataclass(frozen=True, slots=True)
class Picture:
    """A sheet or cut whose original and derivative are stored. Sizes in pixels."""

    original: str
    derivative: str
    original_size: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parts:
    """A record's text and pictures by their digests, with what decides between two records of one patent."""

    source: str
    produced: dt.date | None
    text: str
    pictures: str | None  # None where the record has none

    @classmethod
    def of(cls, record: PatentRecord, originals: Sequence[str]) -> Self:
        return cls(record.source, record.produced, record.text_digest(), record.pictures_digest(originals))

    def provenance(self, digest: str) -> dict[str, Any]:
        """What a version remembers of one of its parts."""
        return {"digest": digest, "source": self.source, "produced": self.produced and self.produced.isoformat()}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record whose pictures have been read: by sheet number, and by drawing number where it is a cut. `layouts`
    tells how sheets were split, by their numbers.
    `broken` names those that could not be; the rest of the patent is searchable all the same.
    """

    record: PatentRecord
    parts: Parts
    skip: str | None = None  # why it added nothing when it was read, so that its pictures were not decoded
    sheets: dict[int, Picture] = field(default_factory=dict)
    cuts: dict[int, Picture] = field(default_factory=dict)
    layouts: dict[int, dict[str, Any]] = field(default_factory=dict)
    broken: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parts of a record count; where none does, why."""

    text: bool = False
    pictures: bool = False
    reason: str | None = None


def newest_versions(session: Session, patent_ids: Sequence[str]) -> dict[str, Patent]:
    """The last version of each patent, open or closed."""
    last = select(func.max(Patent.row_id)).where(Patent.patent_id.in_(patent_ids)).group_by(Patent.patent_id)
    return {patent.patent_id: patent for patent in session.scalars(select(Patent).where(Patent.row_id.in_(last)))}


def choose(parts: Parts, known: Patent | None, *, damaged: bool = False) -> Choice:
    """What of a record counts beside the newest version of its patent, so that their order does not matter.

    Text and pictures are chosen apart. An office's own count over a data set's; of one source the later produced
    count, and where that is equal or unknown those that were loaded last. What a version lacks it takes from any
    record. A package with a damaged picture replaces no pictures that are there.
    """
    if known is None:
        return Choice(text=True, pictures=True)
    provenance = _provenance_of(known)
    text, pictures = provenance["text"], provenance.get("pictures")
    same_pictures = pictures is not None and parts.pictures == pictures["digest"]
    if parts.text == text["digest"] and (parts.pictures is None or same_pictures):
        return Choice(reason="unchanged" if known.removed_in is None else "withdrawn")
    if known.removed_in is not None:
        return Choice(text=True, pictures=True)
    if damaged and pictures is not None:
        return Choice(reason="damaged")
    rank = _rank(parts.provenance(parts.text))
    takes_pictures = parts.pictures is not None and not same_pictures and (pictures is None or rank >= _rank(pictures))
    takes_text = rank >= _rank(text) and (takes_pictures or parts.text != text["digest"])
    if takes_text or takes_pictures:
        return Choice(text=takes_text, pictures=takes_pictures)
    return Choice(reason="full-text-known" if rank[0] < _rank(text)[0] else "newer-known")


def _provenance_of(patent: Patent) -> dict[str, dict[str, Any]]:
    """Where its text and its pictures come from; of versions from before these were told apart, from one source."""
    whole = {"digest": patent.digest, "source": patent.source, "produced": None}
    return patent.provenance or {"text": whole, "pictures": whole}


def _rank(part: dict[str, Any]) -> tuple[bool, str]:
    return part["source"] in OFFICES, part["produced"] or ""


def lock(session: Session) -> None:
    """Let one transaction at a time change the corpus, so that two ingests act one after the other."""
    session.execute(select(Corpus.snapshot).with_for_update())


def add_version(session: Session, prepared: Prepared, known: Patent | None, job_id: UUID, snapshot: int) -> Patent:
    """Write a new version and close the open one, from which it keeps the part that `choose` does not replace."""
    before = known if known is not None and known.removed_in is None else None
    choice = choose(prepared.parts, before, damaged=bool(prepared.broken))
    if before is not None:
        corpus.close_patent(session, before, snapshot)
        session.flush()
    patent = _patent(prepared) if choice.text or before is None else _copy(before, removed_in=None)
    patent.job_id, patent.added_in = job_id, snapshot
    _state_provenance(patent, prepared.parts, choice, before)
    session.add(patent)
    session.flush()
    if choice.text or before is None:
        figures = _add_figures(session, patent, prepared.record)
    else:
        figures = _keep_figures(session, patent, before)
    if choice.pictures or before is None:
        _add_drawings(session, patent, prepared, figures, snapshot)
    else:
        _keep_drawings(session, patent, before, figures, snapshot)
    session.flush()
    if before is not None:
        corpus.carry_vectors_over(session, before, patent, snapshot)
    return patent


def _patent(prepared: Prepared) -> Patent:
    record = prepared.record
    plain = (
        *("office", "number", "kind", "title", "claim", "application", "hague", "extra", "source"),
        *("granted", "filed", "priority", "locarno", "locarno_edition"),
    )
    return Patent(
        patent_id=record.id,
        locarno_further=list(record.locarno_further),
        family=[asdict(link) for link in record.family],
        family_keys=list(record.family_keys),
        **{name: getattr(record, name) for name in plain},
    )


def _state_provenance(patent: Patent, parts: Parts, choice: Choice, before: Patent | None) -> None:
    """Where the parts come from. The digest is that of both, whichever of them came first."""
    kept = _provenance_of(before) if before is not None else {}
    text = parts.provenance(parts.text) if choice.text else kept.get("text")
    pictures = parts.provenance(parts.pictures) if choice.pictures and parts.pictures else kept.get("pictures")
    told = {"text": text, "pictures": pictures}
    patent.provenance = {name: part for name, part in told.items() if part is not None}
    digests = [part["digest"] if part is not None else "" for part in told.values()]
    patent.digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()


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


def _keep_figures(session: Session, patent: Patent, before: Patent) -> dict[str, Figure]:
    """Give the new version the old one's figures (returned by number) and citations."""
    kept = [_copy(row, patent_row=patent.row_id) for row in _rows_of(session, Figure, before)]
    session.add_all(kept)
    session.add_all(_copy(row, patent_row=patent.row_id) for row in _rows_of(session, Citation, before))
    session.flush()
    return {figure.number: figure for figure in kept}


def _rows_of(session: Session, table: type[Row], patent: Patent) -> Sequence[Row]:
    rows = select(table).where(table.__table__.c.patent_row == patent.row_id)
    return session.scalars(rows.order_by(table.__table__.c.row_id)).all()


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
            original=picture.original, width=width, height=height, layout=prepared.layouts.get(sheet.number, {}),
        )  # fmt: skip
    session.add_all(rows.values())
    session.flush()
    for cut in record.drawings:
        is_cut = cut.read is not None or cut.number in prepared.cuts
        picture = prepared.cuts.get(cut.number) if is_cut else prepared.sheets.get(cut.sheet)
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
    kept = {sheet.row_id: _copy(sheet, patent_row=patent.row_id) for sheet in _rows_of(session, Sheet, before)}
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
