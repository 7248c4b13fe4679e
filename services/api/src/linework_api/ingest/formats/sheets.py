"""The sheets and drawings of a patent whose document names its images."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from linework_api.ingest.formats.faults import Found
from linework_api.ingest.formats.zips import PackageFile
from linework_core.records import DrawingSource, PatentRecord, Rejected, Sheet


@dataclass(frozen=True, slots=True)
class _Page:
    """An image that a grant names (or that lies beside it under a sheet's name)."""

    file: str
    number: int
    named: bool


def with_sheets(
    name: str, record: PatentRecord, named: list[str], images: dict[str, PackageFile] | None
) -> Iterator[Found]:
    """The record with its sheets and drawings; after it one Rejected for all images that are not there."""
    if images is None:
        yield record
        return
    pages = _pages(record, named, images)
    stem = stem_of(record)
    sheets = tuple(
        Sheet(
            id=f"{stem}-D{page.number:05d}",
            name=page.file,
            number=page.number,
            role="front_page" if page.number == 0 else "drawings",
            read=images[page.file.lower()].read,
        )
        for page in pages
        if page.file.lower() in images
    )
    missing = [page.file for page in pages if page.file.lower() not in images]
    counts = {"missing_images": len(missing), "unnamed_sheets": sum(not page.named for page in pages)}
    anomalies = record.extra.get("anomalies", {}) | {key: count for key, count in counts.items() if count}
    extra = record.extra | ({"anomalies": anomalies} if anomalies else {})
    yield replace(record, sheets=sheets, drawings=_drawings(record, pages, sheets), extra=extra)
    if missing:
        yield Rejected(name, "missing-image", f"{len(missing)} of {len(pages)} images: {', '.join(missing)}"[:1000])


def _pages(record: PatentRecord, named: list[str], images: dict[str, PackageFile]) -> list[_Page]:
    """The sheets in their order: those that the grant names, and any left out under a sheet's name."""
    own = re.compile(rf"{re.escape(record.id)}-\d{{8}}-D(\d{{5}})\.\w+", re.IGNORECASE)
    unnamed = sorted(file for file in images if own.fullmatch(file) and file not in {n.lower() for n in named})
    pages: dict[int, _Page] = {}
    for position, file in enumerate(dict.fromkeys([*named, *unnamed])):
        match = re.search(r"-D(\d{5})\.\w+$", file, re.IGNORECASE)
        number = int(match[1]) if match else position + 1
        while number in pages:
            number = max(pages) + 1
        pages[number] = _Page(file, number, file in named)
    return [pages[number] for number in sorted(pages)]


def _drawings(record: PatentRecord, pages: list[_Page], sheets: Sequence[Sheet]) -> tuple[DrawingSource, ...]:
    """Each sheet but the front page as one drawing, numbered in sheet order.

    A missing sheet keeps its number and its place, so that the others are the same drawings once it is there.
    A drawing is linked to a figure only if there are as many figures as sheets.
    """
    there = {sheet.number for sheet in sheets}
    drawn = [page for page in pages if page.number > 0]
    figures = [figure.number for figure in record.figures] if len(record.figures) == len(drawn) else []
    return tuple(
        DrawingSource(sheet=page.number, number=n, figure=figures[n - 1] if figures else None)
        for n, page in enumerate(drawn, start=1)
        if page.number in there
    )


def stem_of(record: PatentRecord) -> str:
    """What its sheets' ids begin with."""
    return f"{record.id}-{record.granted:%Y%m%d}" if record.granted else record.id
