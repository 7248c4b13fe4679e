"""Writing a patent's version: its rows, in one transaction, after its pictures are in the object store."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeVar, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, func, insert, select
from sqlalchemy.orm import Session

from linework_core import corpus, records
from linework_core.fulltext import words_of
from linework_core.records import PatentRecord, Rejected
from linework_core.tables import Citation, Drawing, Figure, Patent, Sheet
from linework_core.views import view_class

Row = TypeVar("Row", Patent, Sheet, Figure, Citation)

OF_THE_PICTURE = ("drawing_id", "number", "box", "original", "derivative", "width", "height")
OF_A_CITATION = tuple(one.name for one in fields(records.Citation))
INSERT_CITATIONS = insert(cast(Table, Citation.__table__))
# One statement for all drawings: with an expression in each row the session would send one statement a row
INSERT_DRAWINGS = insert(cast(Table, Drawing.__table__)).values(
    words=words_of(bindparam("named"), bindparam("captions"))
)
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


def choose(parts: Parts, known: Patent | None, *, damaged: bool = False, restore: bool = False) -> Choice:
    """What of a record counts beside the newest version of its patent, so that their order does not matter.

    A patent that was withdrawn is left alone, unless it is to be restored.

    Text and pictures are chosen apart. An office's own count over a data set's; of one source the later produced
    count, and where that is equal or unknown those that were loaded last. What a version lacks it takes from any
    record. A package with a damaged picture replaces no pictures that are there.
    """
    if known is None:
        return Choice(text=True, pictures=True)
    if known.removed_in is not None:
        return Choice(text=True, pictures=True) if restore else Choice(reason="withdrawn")
    provenance = _provenance_of(known)
    text, pictures = provenance["text"], provenance.get("pictures")
    same_pictures = pictures is not None and parts.pictures == pictures["digest"]
    if parts.text == text["digest"] and (parts.pictures is None or same_pictures):
        return Choice(reason="unchanged")
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


@dataclass(slots=True)
class Version:
    """A version of a patent on its way into the tables. It keeps text or pictures of the open one, or neither."""

    prepared: Prepared | None  # None where all is kept
    before: Patent | None
    choice: Choice
    patent: Patent
    figures: dict[str, Figure] = field(default_factory=dict)  # by number
    sheets: dict[int, Sheet] = field(default_factory=dict)

    @property
    def new(self) -> Prepared:
        """What its new text or pictures come from."""
        assert self.prepared is not None
        return self.prepared

    @property
    def text_of(self) -> Patent | None:
        return None if self.choice.text else self.before

    @property
    def pictures_of(self) -> Patent | None:
        return None if self.choice.pictures else self.before


def add_versions(
    session: Session, new: Sequence[tuple[Prepared, Patent | None]], job_id: UUID, snapshot: int
) -> list[Patent]:
    """Write new versions of different patents, each with the newest one that is known, and close those that are open.

    A table at a time: the rows of all go there together.
    """
    versions = [_version(prepared, known, job_id, snapshot) for prepared, known in new]
    for version in versions:
        if version.before is not None:
            corpus.close_patent(session, version.before, snapshot)
    session.flush()
    _write(session, versions, snapshot)
    return [version.patent for version in versions]


def restore_version(session: Session, withdrawn: Patent, job_id: UUID, snapshot: int) -> Patent:
    """Write a withdrawn patent's last version anew, with its vectors and descriptions."""
    patent = _copy(withdrawn, removed_in=None, job_id=job_id, added_in=snapshot)
    _write(session, [Version(None, withdrawn, Choice(), patent)], snapshot)
    corpus.carry_descriptions_over(session, withdrawn, patent, snapshot)
    return patent


def _write(session: Session, versions: Sequence[Version], snapshot: int) -> None:
    session.add_all(version.patent for version in versions)
    session.flush()
    for version in versions:
        _add_figures(session, version)
        _add_sheets(session, version)
    session.flush()
    citations = [row for version in versions for row in _citations(session, version)]
    drawings = [row for version in versions for row in _drawings(session, version, snapshot)]
    for statement, rows in ((INSERT_CITATIONS, citations), (INSERT_DRAWINGS, drawings)):
        if rows:
            session.execute(statement, rows)
    for version in versions:
        if version.before is not None:
            corpus.carry_vectors_over(session, version.before, version.patent, snapshot)


def _version(prepared: Prepared, known: Patent | None, job_id: UUID, snapshot: int) -> Version:
    before = known if known is not None and known.removed_in is None else None
    choice = choose(prepared.parts, before, damaged=bool(prepared.broken))
    patent = _copy(before, removed_in=None) if before is not None and not choice.text else _patent(prepared)
    patent.job_id, patent.added_in = job_id, snapshot
    _state_provenance(patent, prepared.parts, choice, before)
    return Version(prepared, before, choice, patent)


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


def _add_figures(session: Session, version: Version) -> None:
    """Rows of figures, out of the record or the version whose text is kept."""
    row = version.patent.row_id
    if version.text_of is None:
        record = version.new.record
        figures = [
            Figure(patent_row=row, ordinal=ordinal, **asdict(figure))
            for ordinal, figure in enumerate(record.figures, start=1)
        ]
    else:
        figures = [_copy(figure, patent_row=row) for figure in _rows_of(session, Figure, version.text_of)]
    session.add_all(figures)
    version.figures = {figure.number: figure for figure in figures}


def _citations(session: Session, version: Version) -> list[dict[str, Any]]:
    """Rows of citations, out of the same; there may be hundreds, and nothing refers to them."""
    kept = version.text_of
    told = version.new.record.citations if kept is None else _rows_of(session, Citation, kept)
    row = version.patent.row_id
    return [{"patent_row": row, **{name: getattr(one, name) for name in OF_A_CITATION}} for one in told]


def _rows_of(session: Session, table: type[Row], patent: Patent) -> Sequence[Row]:
    rows = select(table).where(table.__table__.c.patent_row == patent.row_id)
    return session.scalars(rows.order_by(table.__table__.c.row_id)).all()


def _add_sheets(session: Session, version: Version) -> None:
    """Rows of the sheets that could be read, or of the version whose pictures are kept."""
    row = version.patent.row_id
    if version.pictures_of is not None:
        sheets = [_copy(sheet, patent_row=row) for sheet in _rows_of(session, Sheet, version.pictures_of)]
    else:
        prepared = version.new
        sheets = [
            Sheet(
                sheet_id=sheet.id, patent_row=row, number=sheet.number, role=sheet.role, original=picture.original,
                width=picture.original_size[0], height=picture.original_size[1],
                layout=prepared.layouts.get(sheet.number, {}),
            )
            for sheet in prepared.record.sheets
            if (picture := prepared.sheets.get(sheet.number)) is not None
        ]  # fmt: skip
    session.add_all(sheets)
    version.sheets = {sheet.number: sheet for sheet in sheets}


def _drawings(session: Session, version: Version, snapshot: int) -> Iterator[dict[str, Any]]:
    """Rows of the drawings of the version's sheets. Kept ones are linked anew to the figures of their numbers."""
    if version.pictures_of is not None:
        kept = select(Drawing, Sheet.number, Figure.number).join(Sheet, Sheet.row_id == Drawing.sheet_row)
        kept = kept.outerjoin(Figure, Figure.row_id == Drawing.figure_row).order_by(Drawing.row_id)
        for old, sheet, number in session.execute(kept.where(Drawing.patent_row == version.pictures_of.row_id)):
            own = {name: getattr(old, name) for name in OF_THE_PICTURE}
            yield own | _facts(version, sheet, number, snapshot)
        return
    prepared = version.new
    for cut in prepared.record.drawings:
        is_cut = cut.read is not None or cut.number in prepared.cuts
        picture = prepared.cuts.get(cut.number) if is_cut else prepared.sheets.get(cut.sheet)
        if picture is None or cut.sheet not in version.sheets:
            continue
        own = {
            "drawing_id": f"{version.sheets[cut.sheet].sheet_id}_{cut.number}", "number": cut.number,
            "box": list(cut.box) if cut.box else None, "original": picture.original, "derivative": picture.derivative,
            "width": picture.size[0], "height": picture.size[1],
        }  # fmt: skip
        yield own | _facts(version, cut.sheet, cut.figure, snapshot)


def _copy(row: Row, **changed: object) -> Row:
    columns = [column.key for column in type(row).__table__.columns if column.key != "row_id"]
    return type(row)(**{name: getattr(row, name) for name in columns} | changed)


def _facts(version: Version, sheet: int, number: str | None, snapshot: int) -> dict[str, Any]:
    """Where a drawing belongs, and beside it the facts that searches filter by and the words that they look for."""
    patent, figure = version.patent, version.figures.get(number or "")
    return {
        **{name: getattr(patent, name) for name in ("patent_id", "office", "locarno", "granted", "filed", "priority")},
        "patent_row": patent.row_id,
        "sheet_row": version.sheets[sheet].row_id,
        "figure_row": figure.row_id if figure else None,
        "view": view_class(figure.view) if figure else None,
        "added_in": snapshot,
        **_words(patent, [figure] if figure else list(version.figures.values())),
    }


def _words(patent: Patent, figures: list[Figure]) -> dict[str, str]:
    """Title and objects, and captions; of all figures where it is not certain which."""
    named = " ".join({text: None for text in (patent.title, *(f.object for f in figures)) if text})
    return {"named": named, "captions": " ".join(figure.caption for figure in figures)}
