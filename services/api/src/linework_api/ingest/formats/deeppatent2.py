"""The DeepPatent2 data set: one JSON record a drawing, and images in a folder or a tar."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from linework_api.ingest.captions import parse
from linework_api.ingest.formats.faults import Fault, Found
from linework_api.ingest.formats.grant import locarno_class, office_and_number, parse_day
from linework_api.ingest.formats.grouping import Index, Record
from linework_api.ingest.formats.pictures import Pictures, Read
from linework_core.records import DrawingSource, Figure, PatentRecord, Rejected, Sheet

PATENT_ID = re.compile(r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,63}?)(?:-(?P<date>\d{8}))?")
# '…-D00006_9.png': the 9th drawing of the patent, on its 6th sheet
IMAGE_NAME = re.compile(r"-D(?P<sheet>\d{5})(?:_(?P<drawing>\d{1,4}))?\.\w+$", re.IGNORECASE)

# The data set's folders: of sheets, and of the drawings cut from them
ORIGINAL, SEGMENTED = "original", "segmented"


def looks_like(record: object) -> bool:
    """Whether a JSON value is a record of this data set."""
    return isinstance(record, dict) and not {"patentID", "subfigure_file", "figure_file"}.isdisjoint(record)


def add_record(index: Index, value: object) -> None:
    """File a record under its patent. Raises Fault 'bad-record', 'bad-id'."""
    if not isinstance(value, dict):
        raise Fault("bad-record", f"A {type(value).__name__} stands where a record should.")
    patent = value.get("patentID")
    if not isinstance(patent, str) or PATENT_ID.fullmatch(patent.strip()) is None:
        raise Fault("bad-id", f"The patentID is {str(patent)[:100]!r}.")
    index.add_record(patent.strip(), "deeppatent2", value)


def read_patent(source: str, patent: str, records: list[Record], pictures: Sequence[Pictures]) -> Iterator[Found]:
    """A patent whose records are drawings. `pictures` are searched in their order; without any the text stands alone.

    Raises Fault.
    """
    reading = _Patent(source, patent, [_Drawing.of(record) for record in records], pictures)
    yield reading.record()
    yield from reading.set_aside


# ---- one drawing -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drawing:
    """A record's values, with what its file names tell. Each of them may be missing."""

    values: Record
    sheet_file: str | None
    cut_file: str | None
    sheet: int | None = None
    number: int | None = None

    @classmethod
    def of(cls, values: Record) -> "_Drawing":
        sheet_file, cut_file = _string(values, "figure_file"), _string(values, "subfigure_file")
        drawing = cls(values, sheet_file, cut_file if cut_file != sheet_file else None)
        for file in (sheet_file, cut_file):
            if file and (match := IMAGE_NAME.search(file)):
                drawing.sheet = int(match["sheet"])
                drawing.number = int(match["drawing"]) if match["drawing"] else drawing.number
        return drawing

    @property
    def sheet_key(self) -> str:
        """What tells the sheets of a patent apart: their numbers, or else their files."""
        return str(self.sheet) if self.sheet is not None else self.sheet_file or self.cut_file or ""

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it stands in its patent, so that the order of records does not matter."""
        unknown = 10**6
        digits = [int(part) for part in re.findall(r"\d{1,9}", _string(self.values, "figid") or "")]
        sheet = unknown if self.sheet is None else self.sheet
        number = unknown if self.number is None else self.number
        file = self.cut_file or self.sheet_file or ""
        in_file = [int(part) for part in re.findall(r"\d{1,9}", file)]  # 'img-10' stands behind 'img-9'
        return (sheet, number, tuple(digits) or (unknown,), tuple(in_file), file)


def _place(drawing: _Drawing) -> tuple[Any, ...]:
    return drawing.place


# ---- one patent ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Patent:
    """A patent in the making. `set_aside` holds the drawings that could not be taken."""

    source: str
    patent: str
    drawings: list[_Drawing]
    pictures: Sequence[Pictures]
    set_aside: list[Rejected] = field(default_factory=list)
    looked: dict[tuple[str, str], Read | Fault] = field(default_factory=dict)

    def record(self) -> PatentRecord:
        """Raises Fault."""
        self._put_in_order()
        matched = PATENT_ID.fullmatch(self.patent)
        assert matched is not None  # add_record has looked
        identity = matched["id"]
        office, number = office_and_number(identity)
        granted = _date(self._first("patentdate")) or parse_day(matched["date"])
        locarno, edition = _class(self._first("classification_locarno"))
        title = self._first("object_title") or self._first("object")
        figures, shown = self._figures(title)
        # an id may bear its date, as DeepPatent2's do; then its sheets have it from there
        stem = self.patent if matched["date"] or granted is None else f"{identity}-{granted:%Y%m%d}"
        sheets, cuts = self._sheets(stem, shown) if self.pictures else ((), ())
        return PatentRecord(
            source=self.source,
            id=identity,
            office=office,
            number=number,
            kind=None,
            title=title,
            granted=granted,
            filed=None,
            priority=None,
            locarno=locarno,
            locarno_edition=edition,
            figures=figures,
            sheets=sheets,
            drawings=cuts,
            extra=self._extra(),
        )

    def _put_in_order(self) -> None:
        """Sort the drawings, each once, and number those whose files tell no number.

        Numbers are given before images are looked for, so that a missing image does not shift the others.
        """
        self.drawings = sorted({drawing.place: drawing for drawing in reversed(self.drawings)}.values(), key=_place)
        last = max((d.number for d in self.drawings if d.number), default=0)
        for drawing in self.drawings:
            if not drawing.number:
                drawing.number = last = last + 1

    def _first(self, key: str) -> str | None:
        """The first value that a record of the patent has for `key`."""
        return next((text for d in self.drawings if (text := _string(d.values, key))), None)

    def _extra(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "classification_national": self._first("classification_national"),
            "keywords": next((words for d in self.drawings if (words := _strings(d.values, "keywords"))), None),
        }
        return {key: value for key, value in told.items() if value}

    # figures

    def _figures(self, title: str | None) -> tuple[tuple[Figure, ...], list[str | None]]:
        """The figures in order, and for each drawing the number of the one that it shows."""
        found: dict[str, Figure] = {}
        shown: list[str | None] = []
        for position, drawing in enumerate(self.drawings, start=1):
            figure = _figure(drawing, position, title)
            shown.append(figure.number if figure else None)
            if figure and figure.number not in found:
                found[figure.number] = figure
        return tuple(found.values()), shown

    # images

    def _sheets(self, stem: str, shown: list[str | None]) -> tuple[tuple[Sheet, ...], tuple[DrawingSource, ...]]:
        """Sheets and drawings whose images are there; the others are set aside."""
        sheets: list[Sheet] = []
        cuts: list[DrawingSource] = []
        for number, members in self._by_sheet().items():
            whole = self._image(members[0][1].sheet_file, ORIGINAL, quiet=True)
            drawn = list(self._cuts(number, members, whole, shown))
            page = whole or next((cut.read for cut in drawn if cut.read), None)
            if page is None:
                continue
            file = members[0][1].sheet_file or members[0][1].cut_file or ""
            role = "front_page" if number == 0 else "drawings"
            sheets.append(Sheet(f"{stem}-D{number:05d}", PurePosixPath(file).name, number, role, page))  # type: ignore[arg-type]
            cuts.extend(drawn if number > 0 else ())
        return tuple(sheets), tuple(self._each_number_once(cuts))

    def _by_sheet(self) -> dict[int, list[tuple[int, _Drawing]]]:
        """The drawings of each sheet with their positions, by sheet number; unnumbered sheets come last."""
        keys: dict[str, list[tuple[int, _Drawing]]] = {}
        for position, drawing in enumerate(self.drawings):
            keys.setdefault(drawing.sheet_key, []).append((position, drawing))
        taken = {d.sheet for d in self.drawings if d.sheet is not None}
        free = (n for n in range(1, len(keys) + len(taken) + 1) if n not in taken)
        numbers = [next(free) if m[0][1].sheet is None else m[0][1].sheet for m in keys.values()]
        return dict(sorted(zip(numbers, keys.values(), strict=True)))

    def _cuts(
        self, sheet: int, members: list[tuple[int, _Drawing]], whole: Read | None, shown: list[str | None]
    ) -> Iterator[DrawingSource]:
        """The drawings of a sheet. A sheet that shows one figure and is not cut is itself the drawing."""
        alone = len(members) == 1
        uncut = whole is not None and not any(self._image(d.cut_file, SEGMENTED, quiet=True) for _, d in members)
        for position, drawing in members[:1] if uncut else members:
            own, kind = drawing.cut_file, SEGMENTED
            if own is None and alone:
                own, kind = drawing.sheet_file, ORIGINAL
            read = None if uncut else self._image(own, kind, quiet=False)
            figure, box = (shown[position], _box(drawing.values)) if alone or not uncut else (None, None)
            if read is not None or uncut:
                yield DrawingSource(sheet, drawing.number or 0, figure, box, read)

    def _image(self, file: str | None, kind: str, *, quiet: bool) -> Read | None:
        """Reads an image, or None if it is not there; then the drawing is set aside, unless `quiet`."""
        found = self._look(file, kind)
        if not isinstance(found, Fault):
            return found
        if not quiet:
            self.set_aside.append(found.of(f"{self.patent}/{file}" if file else self.patent))
        return None

    def _look(self, file: str | None, kind: str) -> Read | Fault:
        """Looks in the folders and archives of the image's kind first: a sheet and its only cut may have one name."""
        if file is None:
            return Fault("missing-image", "The record names no image of its own.")
        if (file, kind) not in self.looked:
            libraries = sorted(self.pictures, key=lambda library: not library.label.lower().startswith(kind))
            try:
                found = next((read for library in libraries if (read := library.find(file, kind))), None)
                self.looked[file, kind] = found or Fault("missing-image", f"There is no image {file!r}.")
            except Fault as fault:
                self.looked[file, kind] = fault
        return self.looked[file, kind]

    def _each_number_once(self, cuts: list[DrawingSource]) -> Iterator[DrawingSource]:
        taken: set[int] = set()
        for cut in cuts:
            if cut.number not in taken:
                taken.add(cut.number)
                yield cut
            else:
                detail = f"Two images claim to be drawing {cut.number}."
                self.set_aside.append(Rejected(f"{self.patent}, drawing {cut.number}", "duplicate-drawing", detail))


# ---- values ----------------------------------------------------------------------------------------------


def _string(values: Record, key: str) -> str | None:
    """A value as text, in one line; None if it is missing, empty or no text or number."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    plain = str(value).replace("\0", "").encode("utf-8", "replace").decode()  # JSON may hold half a character
    return " ".join(plain.split()) or None


def _strings(values: Record, key: str) -> list[str]:
    """A list of texts; a single one counts as a list."""
    several = values.get(key)
    items = several if isinstance(several, list) else [several]
    return [text for item in items if (text := _string({key: item}, key))]


def _date(text: str | None) -> dt.date | None:
    """'2019-01-01' or '20190101'; None for anything else."""
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        return None


def _class(text: str | None) -> tuple[str | None, str | None]:
    """'26-05', '2605' or '26-05 (ed. 12)' as ('26-05', '12'); a class of another scheme as it stands."""
    if text is None:
        return None, None
    match = re.fullmatch(r"(.*?)\s*\(?\s*(?:ed\.?|edition)\s*(\d{1,2})\s*\)?", text, re.IGNORECASE)
    plain, edition = (match[1], match[2]) if match else (text, None)
    return (locarno_class(plain), edition) if locarno_class(plain) else (text, None)


def _figure(drawing: _Drawing, position: int, title: str | None) -> Figure | None:
    """What the record says of its drawing; None if it says nothing."""
    caption, view = _string(drawing.values, "caption"), _string(drawing.values, "aspect")
    thing, figid = _string(drawing.values, "object"), _string(drawing.values, "figid")
    if not (caption or view or thing or figid):
        return None
    parsed = parse(caption or "")
    number = figid or parsed.number or str(drawing.number or position)
    return Figure(
        number=number,
        label=parsed.label if parsed.label and parsed.number == number else f"FIG. {number}",
        caption=caption or "",
        view=view or parsed.view,
        object=thing or parsed.object or title,
    )


def _box(values: Record) -> tuple[int, int, int, int] | None:
    """x, y, width and height in pixels of the sheet, if all four are told and make sense."""
    sides = [values.get(f"{side}_figure") for side in "xywh"]
    if any(isinstance(s, bool) or not isinstance(s, (int, float)) or not 0 <= s < 100_000 for s in sides):
        return None
    x, y, width, height = (round(side) for side in sides if side is not None)
    return (x, y, width, height) if width and height else None
