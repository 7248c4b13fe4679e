"""Tables of patents (CSV): IMPACT's, and the plain one of a register that has nothing better.

A plain table has a column `id` and some of `date`, `class`, `title`, `caption` and `image`. With `image` a row is a
drawing, as a record of DeepPatent2 is; without it a row is a patent, whose images bear its id.
"""

import ast
import csv
import datetime as dt
import itertools
import re
from collections.abc import Iterator, Sequence

from linework_api.ingest.formats import figures, sheets
from linework_api.ingest.formats.faults import Fault, Found
from linework_api.ingest.formats.grant import identity, locarno_class, office_and_number, parse_day, unpadded
from linework_api.ingest.formats.grouping import Index, Record
from linework_api.ingest.formats.jsons import Metered
from linework_api.ingest.formats.limits import Limits
from linework_api.ingest.formats.pictures import Pictures
from linework_api.ingest.formats.zips import PackageFile
from linework_core.records import Figure, PatentRecord

COLUMNS = {
    "id": "id", "number": "id",
    "date": "date", "granted": "date",
    "class": "class", "locarno": "class",
    "title": "title",
    "caption": "caption",
    "image": "image", "file": "image", "filename": "image",
}  # fmt: skip
FACTS = ("date", "class", "title", "caption")
IMPACT = "file_names"  # the column that only IMPACT's table has
DELIMITERS = ",;\t|"
_DATED_FILE = re.compile(r"-(\d{8})-D\d{5}\.")


def is_table(head: bytes) -> bool:
    """Whether a file that begins so is such a table: its first line names the columns."""
    line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    columns = set(_columns(line.decode("utf-8", "replace"))[1])
    return "id" in columns and (IMPACT in columns or "image" in columns or len(columns.intersection(FACTS)) > 1)


def rows(metered: Metered) -> Iterator[tuple[int, Record | Fault]]:
    """The rows by their columns' names, with their ordinals from 1 on; a broken row gives its Fault."""
    lines = (line.decode("utf-8", "surrogateescape") + "\n" for line in metered.lines())
    delimiter, columns = _columns(next(lines, ""))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for ordinal in itertools.count(1):
        metered.since_last = 0
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield ordinal, Fault("bad-record", f"The row is no CSV: {error}. Look at its quotation marks.")
            continue
        if values is None:
            return
        if values:
            yield ordinal, _row(columns, values)


def _row(columns: Sequence[str], values: list[str]) -> Record | Fault:
    if len(values) != len(columns):
        return Fault("bad-record", f"The row has {len(values)} values for {len(columns)} columns.")
    if any("\udc80" <= letter <= "\udcff" for value in values for letter in value):
        return Fault("bad-record", "The row is not UTF-8: save the table with that encoding.")
    lines = [" ".join(value.replace("\0", "").split()) for value in values]
    return {column: line for column, line in zip(columns, lines, strict=True) if line}


def _columns(header: str) -> tuple[str, list[str]]:
    """The delimiter under which most columns are known, and the columns by our names for them."""
    read = {delimiter: _named(header, delimiter) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: sum(name in COLUMNS.values() for name in read[delimiter]))
    return best, read[best]


def _named(header: str, delimiter: str) -> list[str]:
    try:
        names = next(csv.reader([header.strip()], delimiter=delimiter), [])
    except csv.Error:
        return []
    plain = [" ".join(name.split()).casefold() for name in names]
    return [name if name == IMPACT or IMPACT in plain else COLUMNS.get(name, name) for name in plain]


# ---- records ---------------------------------------------------------------------------------------------


def add_row(index: Index, row: Record) -> None:
    """File a row under its patent. Raises Fault 'bad-id', 'bad-record'."""
    if IMPACT in row:
        index.add_record(identity("US", row.get("id", "").removeprefix("US")), "impact", _of_impact(row))
        return
    patent, date = row.get("id", ""), row.get("date")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", patent):
        raise Fault("bad-id", f"The id is {patent[:100]!r}; it may have letters, digits, '.', '_' and '-', 64 at most.")
    if date is not None and _day(date) is None:
        raise Fault("bad-record", f"The date is {date[:40]!r}; write it as 2019-12-31 or 20191231.")
    if "image" in row:
        index.add_record(patent, "csv", _of_drawing(row))
    else:
        index.add_record(patent, "csv rows", row)


def _of_drawing(row: Record) -> Record:
    """A row that names its image, in the words of DeepPatent2."""
    names = {
        "id": "patentID", "date": "patentdate", "class": "classification_locarno", "title": "object_title",
        "caption": "caption", "image": "figure_file",
    }  # fmt: skip
    return {names[column]: value for column, value in row.items() if column in names}


def _of_impact(row: Record) -> Record:
    return row | {column: _list(row, column) for column in (IMPACT, "fig_desc", "class_search")}


def _list(row: Record, column: str) -> list[str]:
    """A list as Python prints it. Raises Fault 'bad-record'."""
    try:
        found = ast.literal_eval(row.get(column, "[]"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Fault("bad-record", f"{column} is no list of texts as Python prints it.")
    return found


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


# ---- one patent ------------------------------------------------------------------------------------------


def read_impact(name: str, patent: str, records: list[Record], pictures: Sequence[Pictures]) -> Iterator[Found]:
    """A patent of IMPACT. Its sheets are the files that it names; its caption is a model's, and is kept apart."""
    row, files = records[0], list(dict.fromkeys(file for record in records for file in record[IMPACT]))
    dated = next((match[1] for file in files if (match := _DATED_FILE.search(file))), None)
    classes = row["class_search"]
    told = {
        "classification_national": row.get("class"),
        "stated_sheets": int(row["sheets"]) if re.fullmatch(r"\d{1,6}", row.get("sheets", "")) else None,
        "stated_figures": int(row["no_figs"]) if re.fullmatch(r"\d{1,6}", row.get("no_figs", "")) else None,
        "generated_caption": row.get("caption"),
    }
    record = PatentRecord(
        source="impact",
        id=patent,
        office="US",
        number=unpadded(patent[2:]),
        kind=None,
        title=row.get("title"),
        granted=parse_day(row.get("date")) or parse_day(dated),
        filed=None,
        priority=None,
        # the first class of any kind in the patent's XML: Locarno's, in its form, where there is one
        locarno=locarno_class(classes[0]) if classes and re.fullmatch(r"\d{4}", classes[0]) else None,
        locarno_edition=None,
        claim=row.get("claim"),
        figures=figures.describe(row["fig_desc"], row.get("title")).figures,
        extra={key: value for key, value in told.items() if value is not None},
    )
    yield from _with_files(name, record, files, pictures)


def read_rows(
    name: str, patent: str, records: list[Record], pictures: Sequence[Pictures], index: Index, limits: Limits
) -> Iterator[Found]:
    """A patent of a plain table without the column `image`. Raises Fault 'too-many-files'."""

    def first(column: str) -> str | None:
        return next((record[column] for record in records if column in record), None)

    office, number = office_and_number(patent)
    printed, title = first("class"), first("title")
    record = PatentRecord(
        source="csv",
        id=patent,
        office=office,
        number=number,
        kind=None,
        title=title,
        granted=_day(first("date") or ""),
        filed=None,
        priority=None,
        locarno=locarno_class(printed or "") or printed,
        locarno_edition=None,
        figures=_figures([record["caption"] for record in records if "caption" in record], title),
    )
    for library in pictures:
        library.list_all()
    files = index.images_of(patent, limits.package_files)
    if len(files) > limits.package_files:
        raise Fault("too-many-files", f"More than {limits.package_files:,} images bear its id.")
    yield from _with_files(name, record, files, pictures)


def _figures(captions: list[str], title: str | None) -> tuple[Figure, ...]:
    """The figures that captions describe; captions without labels are figures in their order."""
    described = figures.describe(captions, title).figures
    if described:
        return described
    plain = (figures.unlabelled(str(n), caption, title) for n, caption in enumerate(captions, start=1))
    return tuple(plain)


def _with_files(name: str, record: PatentRecord, files: list[str], pictures: Sequence[Pictures]) -> Iterator[Found]:
    where = f"{name}, {record.id}"
    images: dict[str, PackageFile] = {}
    for file in files:
        try:
            read = next((read for library in pictures if (read := library.find(file))), None)
        except Fault as fault:
            yield fault.of(f"{where}/{file}")
            continue
        if read is not None:
            images[file.lower()] = PackageFile(file, 0, read)
    yield from sheets.with_sheets(where, record, files, images if pictures else None)
