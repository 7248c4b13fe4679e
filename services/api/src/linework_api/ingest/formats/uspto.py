"""USPTO grant packages: one XML document and its sheets, as a ZIP, a folder, or many in a weekly tar."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import structlog

from linework_api.ingest.formats import tars
from linework_api.ingest.formats.faults import Fault, Found
from linework_api.ingest.formats.grant import is_design, parse_day, parse_xml, read_grant
from linework_api.ingest.formats.limits import MB, Limits, is_image
from linework_api.ingest.formats.zips import PackageFile, files_of, open_zip
from linework_core.errors import LineworkError, UnreadableImage
from linework_core.records import DrawingSource, PackageRead, Passed, PatentRecord, Rejected, Sheet

log = structlog.get_logger()

SPOOL = 16 * MB  # a package up to this size stays in memory while it is read
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
WEEK = re.compile(r"I(\d{8})(?:\.\w+)*", re.IGNORECASE)  # the name of a weekly package
OTHER_KINDS = re.compile(r"UTIL\d*|PLANT|REISSUE|SIR|DEF")  # folders of a weekly tar


# ---- one package -----------------------------------------------------------------------------------------


def read_package(name: str, files: Sequence[PackageFile], limits: Limits) -> Iterator[Found]:
    """The grants among the files of one package; `name` is how a person would find it."""
    try:
        _check_size(files, limits)
    except Fault as fault:
        yield fault.of(name)
        return
    documents = [file for file in files if file.name.lower().endswith(".xml")]
    if not documents:
        yield Rejected(name, "no-xml", f"None of its {len(files)} files is an XML document.")
    for document in documents:
        where = name if len(documents) == 1 else f"{name}/{PurePosixPath(document.name).name}"
        images = _images_of(document, files, alone=len(documents) == 1)
        yield from read_document(where, document, images, limits)


def read_document(
    name: str, document: PackageFile, images: dict[str, PackageFile] | None, limits: Limits
) -> Iterator[Found]:
    """One grant with its images (by lower-case file name; None where the source has texts only)."""
    try:
        if document.size > limits.xml:
            raise Fault("too-large", f"The XML has {document.size:,} bytes; {limits.xml:,} are allowed.")
        root = parse_xml(document.read(), limits)
        if not is_design(root):
            yield Passed(name, "not-a-design")
            return
        record = read_grant(root)
        named = [str(node.get("file", "")) for node in root.iterfind("drawings/figure/img")]
    except Fault as fault:
        yield fault.of(name)
    except UnreadableImage as error:  # the archive's checksum is wrong
        yield Rejected(name, "bad-archive", error.detail)
    except LineworkError:
        raise  # the store failed, not the record
    except Exception as error:
        log.exception("record-unreadable", record=name)
        yield Rejected(name, "unreadable-record", f"{type(error).__name__}: {error}")
    else:
        yield from _with_sheets(name, record, named, images)


def _check_size(files: Sequence[PackageFile], limits: Limits) -> None:
    if len(files) > limits.package_files:
        raise Fault("too-many-files", f"It has {len(files):,} files; {limits.package_files:,} are allowed.")
    total = sum(file.size for file in files)
    if total > limits.package:
        raise Fault("too-large", f"It unpacks to {total:,} bytes; {limits.package:,} are allowed.")


def _images_of(document: PackageFile, files: Sequence[PackageFile], *, alone: bool) -> dict[str, PackageFile]:
    """The images that may belong to a document: all, or those in its own folder if there are more documents."""
    folder = PurePosixPath(document.name).parent
    own = [f for f in files if is_image(f.name) and (alone or PurePosixPath(f.name).parent == folder)]
    return {PurePosixPath(file.name).name.lower(): file for file in own}


# ---- its sheets ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Page:
    """An image that a grant names (or that lies beside it under a sheet's name)."""

    file: str
    number: int
    named: bool


def _with_sheets(
    name: str, record: PatentRecord, named: list[str], images: dict[str, PackageFile] | None
) -> Iterator[Found]:
    """The record with its sheets and drawings; after it one Rejected for all images that are not there."""
    if images is None:
        yield record
        return
    pages = _pages(record, named, images)
    stem = _stem(record)
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
    own = re.compile(rf"{record.id}-\d{{8}}-D(\d{{5}})\.\w+", re.IGNORECASE)
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


def _stem(record: PatentRecord) -> str:
    return f"{record.id}-{record.granted:%Y%m%d}" if record.granted else record.id


def week_read(name: str) -> Iterator[PackageRead]:
    """That a week is loaded, if the archive or folder that was read to its end is a weekly package."""
    last = PurePosixPath(name).name
    week = parse_day(match[1]) if (match := WEEK.fullmatch(last)) else None
    if week is not None:
        yield PackageRead(last, week)


# ---- archives of packages --------------------------------------------------------------------------------


def read_zip(name: str, file: BinaryIO | IO[bytes], limits: Limits, depth: int = 0) -> Iterator[Found]:
    """A package, or packages within a ZIP. `file` is seekable and stays open while the records are read."""
    try:
        if depth >= limits.nesting:
            raise Fault("nested-archive", f"It lies in {depth} archives; {limits.nesting} are allowed.")
        archive = open_zip(file, limits)
    except Fault as fault:
        yield fault.of(name)
        return
    with archive:
        files = files_of(archive)
        inner = [f for f in files if f.name.lower().endswith(".zip")]
        loose = [f for f in files if not f.name.lower().endswith(".zip")]
        for member in sorted(inner, key=lambda f: f.name):
            with tempfile.SpooledTemporaryFile(SPOOL) as spool:
                try:
                    spool.write(member.read())
                except UnreadableImage as error:
                    yield Rejected(f"{name}/{member.name}", "bad-archive", error.detail)
                    continue
                yield from read_zip(f"{name}/{member.name}", cast(BinaryIO, spool), limits, depth + 1)
        if loose and (not inner or any(f.name.lower().endswith(".xml") for f in loose)):
            yield from read_package(name, loose, limits)
        elif not inner:
            yield Rejected(name, "no-xml", "The ZIP is empty.")
    yield from week_read(name)


def read_tar(name: str, stream: BinaryIO, limits: Limits) -> Iterator[Found]:
    """A weekly tar, as a stream: the ZIPs of designs, and packages whose files lie in it unpacked."""
    taken: set[str] = set()
    loose = _Loose(name, limits)
    try:
        for member in tars.members(stream, limits):
            where = f"{name}/{member.name}"
            folder = str(PurePosixPath(member.name).parent)
            if folder != loose.folder:
                yield from loose.finish()
            if member.fault is not None:
                yield member.fault.of(where)
            elif any(OTHER_KINDS.fullmatch(part) for part in PurePosixPath(member.name).parts[:-1]):
                yield Passed(where, "not-a-design")
            elif member.name in taken:
                yield Rejected(where, "duplicate-member", f"Two members are named {member.name!r}.")
            else:
                taken.add(member.name)
                yield from _take(where, folder, member, loose, limits)
        yield from loose.finish()
        yield from week_read(name)
    except Fault as fault:
        yield from loose.finish()
        yield fault.of(name)
    finally:
        loose.discard()


def _take(where: str, folder: str, member: tars.Member, loose: "_Loose", limits: Limits) -> Iterator[Found]:
    magic = member.read(4)
    if magic in ZIP_MAGIC:
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            spool.write(magic)
            member.copy_to(spool)
            yield from read_zip(where, cast(BinaryIO, spool), limits)
    elif tars.is_compressed(magic) or member.name.lower().endswith(".tar"):
        yield Rejected(where, "nested-archive", "It is a tar or a compressed file within a tar.")
    elif is_image(member.name) or member.name.lower().endswith(".xml"):
        fault = loose.add(folder, member, magic)
        if fault is not None:
            yield fault.of(PurePosixPath(where).parent.as_posix())
    else:
        yield Passed(where, "not-a-package")


@dataclass(slots=True)
class _Loose:
    """The files of one folder of a tar, kept on disk until the folder is complete: images come before the XML."""

    name: str
    limits: Limits
    folder: str | None = None
    files: list[PackageFile] = field(default_factory=list)
    place: "tempfile.TemporaryDirectory[str] | None" = None
    overfull: bool = False

    def add(self, folder: str, member: tars.Member, head: bytes) -> Fault | None:
        """Keep a file. Returns the fault that makes its folder too large, once; then the folder is passed over."""
        if self.overfull:
            return None
        total = sum(file.size for file in self.files) + member.size
        if len(self.files) >= self.limits.package_files or total > self.limits.package:
            self.discard()
            self.folder, self.overfull = folder, True
            return Fault("too-large", "The folder is larger than a package may be.")
        self.folder = folder
        self.place = self.place or tempfile.TemporaryDirectory(prefix="linework-")
        path = Path(self.place.name, str(len(self.files)))
        with path.open("wb") as file:
            file.write(head)
            member.copy_to(file)
        self.files.append(PackageFile(member.name, member.size, path.read_bytes))
        return None

    def finish(self) -> Iterator[Found]:
        """The records of the folder that is complete now."""
        files, folder = self.files, self.folder
        if files:
            where = self.name if folder in (None, ".") else f"{self.name}/{folder}"
            self.files, self.folder = [], None
            yield from read_package(where, files, self.limits)
        self.discard()

    def discard(self) -> None:
        if self.place is not None:
            self.place.cleanup()
        self.files, self.folder, self.place, self.overfull = [], None, None, False
