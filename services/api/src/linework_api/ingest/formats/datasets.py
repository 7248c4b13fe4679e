"""Data sets as they lie on disk: JSON or CSV beside a folder, tars or ZIPs of images, or all in one tar or ZIP."""

import itertools
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, BinaryIO, Literal

import structlog

from linework_api.ingest.formats import deeppatent2, jsons, tables, tars, zips
from linework_api.ingest.formats.faults import Fault, Found, not_what_it_is_named
from linework_api.ingest.formats.grouping import Index
from linework_api.ingest.formats.limits import DOCUMENTS, Limits, is_image
from linework_api.ingest.formats.pictures import FolderPictures, Pictures, TarPictures, ZipPictures
from linework_api.ingest.sources import Source, walk
from linework_core.errors import Forbidden, LineworkError, NotFound
from linework_core.records import Passed, Rejected

log = structlog.get_logger()

Holds = Literal["records", "images", "packages"]
RECORD_KEYS = (b'"patentID"', b'"figure_file"', b'"subfigure_file"')
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")  # in a file's name: 'design2007.json', 'Original_2007.tar.gz'
HEAD = 4096  # bytes that tell what a member is


def read_file(
    name: str, source: Source, images: Source | None, folder: Source | None, limits: Limits
) -> Iterator[Found]:
    """The patents of a JSON or CSV file, with the images given or those that lie in `folder`."""
    with Index() as index, ExitStack() as opened:
        with source.open() as file:
            count = yield from _add_records(name, jsons.Metered(file, limits), index, limits)
        if count:
            pictures = yield from _libraries(images or folder, images is not None, source.name, index, opened, limits)
            if not pictures:
                yield Rejected(name, "no-images", "No folder, tar or ZIP of images was given or lies beside it.")
            yield from _patents(name, index, pictures, limits)


def read_tar(name: str, source: Source, limits: Limits) -> Iterator[Found]:
    """The patents of a tar that holds records and images, in any order."""
    with Index() as index, ExitStack() as opened:
        file = opened.enter_context(source.open())
        pictures = opened.enter_context(closing(TarPictures(file, name, index, 0, limits)))
        try:
            for member in tars.members(pictures.stream, limits, mode=pictures.mode):
                yield from _file_member(f"{name}/{member.name}", member, pictures, index, limits)
        except Fault as fault:
            yield fault.of(name)
        yield from _patents(name, index, [pictures], limits)


def _file_member(
    where: str, member: tars.Member, pictures: TarPictures, index: Index, limits: Limits
) -> Iterator[Found]:
    if member.fault is not None or member.file is None:
        yield (member.fault or Fault("link", "It is no file.")).of(where)
    elif is_image(member.name):
        pictures.add(member)
    else:
        yield from _records_member(where, member, index, limits)


def _records_member(where: str, member: jsons.Readable, index: Index, limits: Limits) -> Iterator[Found]:
    metered = jsons.Metered(member, limits)
    head = metered.peek(HEAD)
    if _is_json(head) or tables.is_table(head):
        yield from _add_records(where, metered, index, limits)
    else:
        yield not_what_it_is_named(where, where) or Passed(where, "not-a-package")


def read_zip(name: str, file: BinaryIO, limits: Limits) -> Iterator[Found]:
    """The patents of a ZIP that holds records and images."""
    with Index() as index:
        pictures = ZipPictures(file, name, index, 0, limits)
        pictures.add_all()
        for info in pictures.archive.infolist():
            where = f"{name}/{info.filename}"
            if info.is_dir() or is_image(info.filename):
                continue
            try:
                with pictures.archive.open(info) as member:
                    yield from _records_member(where, member, index, limits)
            except zips.DAMAGED as error:
                yield Rejected(where, "bad-archive", f"It is damaged in its archive: {error}")
        yield from _patents(name, index, [pictures], limits)


# ---- what an archive holds -------------------------------------------------------------------------------


def tar_holds(source: Source, limits: Limits) -> Holds:
    """What a tar holds: its first member that is no image and no stray JSON tells.

    Raises Fault if it is damaged before that.
    """
    kind: Holds = "packages"
    with source.open() as stream:
        for member in tars.members(stream, limits, mode=_mode(stream)):
            if is_image(member.name):
                # sheets of an unpacked package come before its XML, but are TIFFs
                kind = "packages" if member.name.lower().endswith((".tif", ".tiff")) else "images"
            elif member.fault is None:
                head = member.read(HEAD)
                if _is_records(head):
                    return "records"
                if not _is_json(head):
                    return "packages"
    return kind


def zip_holds(file: BinaryIO, limits: Limits) -> Holds:
    """What a ZIP holds; one that is damaged counts as one of packages, whose reader will tell."""
    try:
        archive = zips.open_zip(file, limits.of_images())
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        others = [name for name in names if not is_image(name)]
        if any(name.lower().endswith((*DOCUMENTS, ".zip")) for name in others):
            return "packages"
        for name in others[:20]:
            with archive.open(name) as member:
                if _is_records(member.read(HEAD)):
                    return "records"
    except (Fault, *zips.DAMAGED):
        return "packages"
    return "images" if names and not others else "packages"


def holds_only_images(source: Source, limits: Limits) -> bool:
    """Whether an archive is one of images for a data set: a tar that begins with one, a ZIP of nothing else."""
    try:
        with source.open() as stream:
            if stream.read(4) in zips.MAGIC:
                return zip_holds(stream, limits) == "images"
            stream.seek(0)
            first = next(tars.members(stream, limits), None)
            return first is not None and is_image(first.name)
    except (Fault, Forbidden, NotFound):
        return False


def serves(archive: str, records: str) -> bool:
    """Whether images in an archive may be those of a file of records, by their names: a year stands in both or not
    in both.
    """
    return _year(archive) in (None, _year(records)) or _year(records) is None


def _year(name: str) -> str | None:
    found = YEAR.search(name)
    return found[0] if found else None


def _mode(stream: BinaryIO) -> str:
    """Seek from header to header where that works; a stream is read through."""
    if not stream.seekable():
        return "r|*"
    compressed = tars.is_compressed(stream.read(8))
    stream.seek(0)
    return "r|*" if compressed else "r:"


def _is_json(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b"{"))


def _is_records(head: bytes) -> bool:
    return (_is_json(head) and any(key in head for key in RECORD_KEYS)) or tables.is_table(head)


# ---- records ---------------------------------------------------------------------------------------------


def _add_records(name: str, metered: jsons.Metered, index: Index, limits: Limits) -> Generator[Found, None, int]:
    """File the records of a JSON or CSV file under their patents. Returns how many could be."""
    table = tables.is_table(metered.peek(HEAD))
    values = tables.rows(metered) if table else jsons.values(metered, limits)
    add = tables.add_row if table else deeppatent2.add_record
    count, ordinal = 0, 0
    try:
        for ordinal, value in values:
            if not table and count == 0 and isinstance(value, dict) and not deeppatent2.looks_like(value):
                raise Fault("unknown-format", "The JSON's first object is no record of DeepPatent2.")
            fault = _fault_in(value, add, index)
            count += fault is None
            if fault is not None:
                yield fault.of(f"{name}, record {ordinal}")
    except Fault as fault:
        yield fault.of(name)
    else:
        if ordinal == 0:
            yield Rejected(name, "unknown-format", "It holds no records.")
    return count


def _fault_in(value: Any, add: Callable[[Index, Any], None], index: Index) -> Fault | None:
    """File a record under its patent; returns why it cannot be."""
    if isinstance(value, Fault):
        return value
    try:
        add(index, value)
    except Fault as fault:
        return fault
    return None


def _patents(name: str, index: Index, pictures: Sequence[Pictures], limits: Limits) -> Iterator[Found]:
    """The patents of an index that is complete. Without any pictures their texts are taken alone."""
    for patent, source, records in index.patents(limits.package_files):
        try:
            if len(records) > limits.package_files:
                raise Fault("too-many-files", f"It has more than {limits.package_files:,} drawings.")
            if source == "impact":
                yield from tables.read_impact(name, patent, records, pictures)
            elif source == "csv rows":
                yield from tables.read_rows(name, patent, records, pictures, index, limits)
            else:
                yield from deeppatent2.read_patent(source, patent, records, pictures)
        except Fault as fault:
            yield fault.of(f"{name}, {patent}")
        except LineworkError:
            raise  # the store failed, not the record
        except Exception as error:
            log.exception("record-unreadable", record=patent)
            yield Rejected(f"{name}, {patent}", "unreadable-record", f"{type(error).__name__}: {error}")


# ---- images ----------------------------------------------------------------------------------------------


def _libraries(
    place: Source | None, given: bool, records: str, index: Index, opened: ExitStack, limits: Limits
) -> Generator[Found, None, list[Pictures]]:
    """Where images are looked for: an archive, or a folder with the archives of images in it."""
    if place is None:
        return []
    numbers = itertools.count()
    found: list[Pictures] = []
    archives = [place] if not place.is_folder else _archives_of_images(place, "" if given else records, limits)
    for archive in archives:
        try:
            library = _opened(archive, index, next(numbers), opened, limits)
            found.append(library)  # before it is read: what comes before a damage is taken
            library.add_all()
        except Fault as fault:
            yield fault.of(archive.name)
    if place.is_folder and (given or _has_image(place)):
        found.append(FolderPictures(place, index, next(numbers), limits))
    return found


def _opened(
    archive: Source, index: Index, library: int, opened: ExitStack, limits: Limits
) -> TarPictures | ZipPictures:
    """The images of an archive, not yet noted. Raises Fault if it is a ZIP that is damaged or harmful."""
    file = opened.enter_context(archive.open())
    magic = file.read(4)
    file.seek(0)
    if magic in zips.MAGIC:
        return ZipPictures(file, archive.name, index, library, limits)
    return opened.enter_context(closing(TarPictures(file, archive.name, index, library, limits)))


def _archives_of_images(folder: Source, records: str, limits: Limits) -> Iterator[Source]:
    try:
        children = folder.children()
    except (Forbidden, NotFound):  # a file may be read though its folder may not be listed
        return
    for child in children:
        named = child.name.lower().endswith(ARCHIVES) and serves(child.name, records)
        if named and holds_only_images(child, limits):
            yield child


def _has_image(folder: Source) -> bool:
    return any(is_image(path) for path, _ in walk(folder))
