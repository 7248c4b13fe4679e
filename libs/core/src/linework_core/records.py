"""What a format reader yields: the facts of one patent and its sheets, before they become rows.

Every reader (USPTO packages, DeepPatent2, …) speaks in these terms, so ingest knows no formats.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Citation:
    """A document cited in a patent. `date` keeps the precision of the source: '1986-11' where the day is 00."""

    number: str  # office + number without padding: 'USD428532'
    raw_number: str  # as printed: 'D428532'
    office: str
    kind: str | None
    date: str | None  # ISO 8601, reduced precision allowed: 'YYYY', 'YYYY-MM' or 'YYYY-MM-DD'
    name: str | None
    category: str | None  # 'cited by examiner'


@dataclass(frozen=True, slots=True)
class FamilyLink:
    """A document that a patent claims priority of, divides, continues, or shares a registration with."""

    relation: str  # 'priority', 'hague', 'division', 'continuation', 'continuation-in-part', …
    office: str
    number: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Figure:
    """What the text says of one view. `number` is the running label, '3' or '1.4' (Hague)."""

    number: str
    label: str  # 'FIG. 3', '1.4'
    caption: str  # the whole sentence
    view: str | None  # 'front elevational view'
    object: str | None  # 'light device'


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of drawings. `read` gives the original bytes when they are wanted, so records stay small."""

    id: str  # 'USD0907292-20210105-D00003'
    name: str  # the file's name in its source
    number: int  # 0 is the front page of a USPTO package
    role: Literal["front_page", "drawings"]
    read: Callable[[], bytes] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DrawingSource:
    """One drawing cut by the source itself (DeepPatent2's subfigure) or a whole sheet (`read` is None)."""

    sheet: int  # number of its sheet
    number: int  # running number within the patent, the `_n` of the drawing id
    figure: str | None = None  # number of the figure it certainly shows
    box: tuple[int, int, int, int] | None = None  # x, y, width, height in pixels of the sheet, where known
    read: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PatentRecord:
    """The facts of one patent as a source tells them. Dates are None when the source does not tell."""

    source: str  # 'uspto', 'deeppatent2', 'impact', 'csv'
    id: str  # 'USD0907292', 'LD3001'
    office: str  # 'US'; letters before the number for other sources
    number: str  # without padding: 'D907292'
    kind: str | None
    title: str | None
    granted: dt.date | None
    filed: dt.date | None
    priority: dt.date | None  # the earliest claimed, else filed
    locarno: str | None  # '28-03', or the class text of another source ('Baseplate')
    locarno_edition: str | None
    locarno_further: tuple[str, ...] = ()
    claim: str | None = None
    application: str | None = None  # application number with its office: 'US29672791'
    hague: dict[str, str] | None = None
    family: tuple[FamilyLink, ...] = ()
    citations: tuple[Citation, ...] = ()
    figures: tuple[Figure, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    drawings: tuple[DrawingSource, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)  # e.g. stated numbers of sheets and figures
    produced: dt.date | None = None  # when the office wrote this document: of two of one patent the later counts

    def text_digest(self) -> str:
        """SHA-256 over what the text tells, for telling a corrected text from a repeated one."""
        told = {key: value for key, value in self.extra.items() if key != "anomalies"}  # some are of pictures
        return _sha256(asdict(replace(self, sheets=(), drawings=(), extra=told)))

    def pictures_digest(self, originals: Sequence[str]) -> str | None:
        """The same over the pictures: their places and the SHA-256 of each; None if there are none."""
        sheets = [(sheet.number, sheet.role) for sheet in self.sheets]
        drawings = [(cut.sheet, cut.number, cut.figure, cut.box) for cut in self.drawings]
        return _sha256([sheets, drawings, list(originals)]) if sheets else None

    @property
    def family_keys(self) -> tuple[str, ...]:
        """Documents by which a patent is recognised as one of a family: its own application and all it names."""
        own = {self.application} if self.application else set()
        return tuple(sorted(own | {f"{link.office}{link.number}" for link in self.family}))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read. It is set aside with its reason, and the rest goes on."""

    name: str  # member or file, as a person would find it
    reason: str  # stable kebab-case word: 'bad-xml', 'truncated-image', 'unsafe-path', …
    detail: str  # what a person should know


@dataclass(frozen=True, slots=True)
class Passed:
    """A record that is not ours to take (a utility patent in a weekly tar), counted by its reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PackageRead:
    """A weekly package has been read to its end, so its week is loaded."""

    name: str
    week: dt.date


@dataclass(frozen=True, slots=True)
class ReadTo:
    """Whatever the first `packages` packages of a source hold has been given; `name` is the last one's."""

    packages: int
    name: str


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
