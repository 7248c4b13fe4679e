"""USPTO grant packages: one XML document and its sheets, as a ZIP, a folder, or many in a weekly tar."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import structlog

from linework_api.ingest.formats import grant, sheets, st32, tars, zips
from linework_api.ingest.formats.faults import Fault, Found, not_what_it_is_named
from linework_api.ingest.formats.grant import parse_day
from linework_api.ingest.formats.limits import DOCUMENTS, MB, Limits, is_image
from linework_api.ingest.formats.zips import PackageFile, files_of, open_zip
from linework_core.errors import LineworkError, UnreadableImage
from linework_core.records import PackageRead, Passed, Rejected

log = structlog.get_logger()

SPOOL = 16 * MB  # a package up to this size stays in memory while it is read
WEEK = re.compile(r"I(\d{8})(?:\.\w+)*", re.IGNORECASE)  # the name of a weekly package
OTHER_KINDS = re.compile(r"UTIL\d*|PLANT|SIR|DEF")  # folders of a weekly tar; REISSUE may have designs


# ---- one package -----------------------------------------------------------------------------------------


def read_package(name: str, files: Sequence[PackageFile], limits: Limits) -> Iterator[Found]:
    """The grants among the files of one package; `name` is how a person would find it."""
    try:
        _check_size(files, limits)
    except Fault as fault:
        yield fault.of(name)
        return
    documents = [file for file in files if file.name.lower().endswith(DOCUMENTS)]
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
        data = document.read()
        generation = st32 if st32.is_st32(data) else grant
        root = generation.parse(data, limits)
        if not generation.is_design(root):
            yield Passed(name, "not-a-design")
            return
        record, named = generation.read_grant(root), generation.images(root)
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
        yield from sheets.with_sheets(name, record, named, images)


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


# ---- archives of packages --------------------------------------------------------------------------------


def week_read(name: str) -> Iterator[PackageRead]:
    """That a week is loaded, if the archive or folder that was read to its end is a weekly package."""
    last = PurePosixPath(name).name
    week = parse_day(match[1]) if (match := WEEK.fullmatch(last)) else None
    if week is not None:
        yield PackageRead(last, week)


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
        if loose and (not inner or any(f.name.lower().endswith(DOCUMENTS) for f in loose)):
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
    if magic in zips.MAGIC:
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            spool.write(magic)
            member.copy_to(spool)
            yield from read_zip(where, cast(BinaryIO, spool), limits)
    elif tars.is_compressed(magic) or member.name.lower().endswith(".tar"):
        yield Rejected(where, "nested-archive", "It is a tar or a compressed file within a tar.")
    elif is_image(member.name) or member.name.lower().endswith(DOCUMENTS):
        fault = loose.add(folder, member, magic)
        if fault is not None:
            yield fault.of(PurePosixPath(where).parent.as_posix())
    elif (broken := not_what_it_is_named(where, member.name)) and broken.reason == "bad-archive":
        yield broken
    else:
        yield Passed(where, "not-a-design" if "REISSUE" in PurePosixPath(member.name).parts else "not-a-package")


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
