"""A search as a file: CSV, XLSX with thumbnails, or JSON."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import xlsxwriter

from linework_api.search.schemas import Hit, SearchRecord

COLUMNS: tuple[tuple[str, Callable[[Hit], Any]], ...] = (
    ("rank", lambda hit: hit.rank),
    ("score", lambda hit: hit.score),
    ("image_score", lambda hit: hit.scores.image),
    ("text_score", lambda hit: hit.scores.text),
    ("patent", lambda hit: hit.patent.id),
    ("title", lambda hit: hit.patent.title),
    ("granted", lambda hit: hit.patent.granted and hit.patent.granted.isoformat()),
    ("filed", lambda hit: hit.patent.filed and hit.patent.filed.isoformat()),
    ("locarno", lambda hit: hit.patent.locarno),
    ("drawing", lambda hit: hit.drawing.id),
    ("caption", lambda hit: hit.drawing.caption),
    ("view", lambda hit: hit.drawing.view),
)  # fmt: skip
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
THUMBNAIL = 96  # pixels, and nearly the height of a row in points


NAMES = [name for name, _ in COLUMNS]


def row(hit: Hit) -> list[Any]:
    """A hit's values, in the order of the columns."""
    return [value(hit) for _, value in COLUMNS]


def to_json(record: SearchRecord) -> bytes:
    return record.model_dump_json(indent=2).encode()


def to_csv(record: SearchRecord) -> bytes:
    """UTF-8 with a byte-order mark, which spreadsheets need to see umlauts. Cells never begin a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(NAMES)
    writer.writerows([harmless(value) for value in row(hit)] for hit in record.answer.hits)
    return out.getvalue().encode("utf-8-sig")


_FORMULA = re.compile(
    r"[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]|[\t\r\n]"
)


def harmless(value: Any) -> Any:
    """A title that begins with '=' would be run as a formula by a spreadsheet.

    So would one that begins with a full-width or small '=', '+', '-' or '@', or with blanks before one of these.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def to_xlsx(record: SearchRecord, thumbnail: Callable[[str], bytes]) -> bytes:
    """A sheet of hits with pictures, and one that says what was searched. `thumbnail` gives PNG by drawing id."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        bold = book.add_format({"bold": True})
        hits = book.add_worksheet("Hits")
        hits.write_row(0, 0, ["picture", *NAMES], bold)
        hits.set_column(0, 0, 18)
        hits.set_column(6, 6, 40)
        hits.set_column(5, 12, 24)
        for line, hit in enumerate(record.answer.hits, start=1):
            hits.set_row(line, 0.8 * THUMBNAIL)
            if hit.erased:
                hits.write(line, 0, "erased")
            else:
                picture = io.BytesIO(thumbnail(hit.drawing.id))
                hits.insert_image(line, 0, f"{hit.drawing.id}.png", {"image_data": picture, "object_position": 1})
            hits.write_row(line, 1, row(hit))
        hits.freeze_panes(1, 0)
        _write_search(book.add_worksheet("Search"), record, bold)
    return out.getvalue()


def _write_search(sheet: Any, record: SearchRecord, bold: Any) -> None:
    """What was asked, of which corpus, when, by which encoder: without it the hits are worth nothing."""
    answer = record.answer
    told = {
        "search": str(record.id),
        "time": record.created_at.isoformat(),
        "caller": record.owner,
        "snapshot": answer.snapshot,
        "encoder": answer.encoder.id,
        "eligible": answer.eligible,
        "unindexed": answer.unindexed,
        "undated": answer.undated,
        "exact": "yes" if answer.exact else "no",
        **{f"asked: {name}": str(value) for name, value in record.request.items()},
    }
    sheet.set_column(0, 1, 40)
    for line, (name, value) in enumerate(told.items()):
        sheet.write(line, 0, name, bold)
        sheet.write(line, 1, value)
