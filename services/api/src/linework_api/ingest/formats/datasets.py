"""DeepPatent2 as it lies on disk: JSON beside a folder or tar of images, or both in one tar."""

import itertools
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO, Literal

from linework_api.ingest.formats import deeppatent2, jsons, tars
from linework_api.ingest.formats.faults import Fault, Found
from linework_api.ingest.formats.grouping import Index
from linework_api.ingest.formats.limits import Limits, is_image
from linework_api.ingest.formats.pictures import FolderPictures, Pictures, TarPictures
from linework_api.ingest.sources import Source, walk
from linework_core.errors import Forbidden, NotFound
from linework_core.records import Passed, Rejected

Holds = Literal["records", "images", "packages"]
RECORD_KEYS = (b'"patentID"', b'"figure_file"', b'"subfigure_file"')
TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def read_json(
    name: str, source: Source, images: Source | None, folder: Source | None, limits: Limits
) -> Iterator[Found]:
    """The patents of a JSON file, with the images given or those that lie in `folder`."""
    with Index() as index, ExitStack() as opened:
        with source.open() as file:
            count = yield from _add_records(name, file, index, limits)
        if count:
            pictures = yield from _libraries(images or folder, images is not None, index, opened, limits)
            if not pictures:
                yield Rejected(name, "no-images", "No folder or tar of images was given or lies beside it.")
            yield from deeppatent2.read_patents(name, index, pictures, limits)


def read_tar(name: str, source: Source, limits: Limits) -> Iterator[Found]:
    """The patents of a tar that holds JSON and images, in any order."""
    with Index() as index, source.open() as stream:
        if tars.is_compressed(stream.read(8)):
            yield Rejected(name, "compressed-archive", "Unpack the tar: its images are wanted in any order.")
            return
        stream.seek(0)
        pictures = TarPictures(stream, index, 0, limits)
        try:
            for member in tars.members(stream, limits, mode="r:"):
                yield from _file_member(f"{name}/{member.name}", member, pictures, index, limits)
        except Fault as fault:
            yield fault.of(name)
        yield from deeppatent2.read_patents(name, index, [pictures], limits)


def _file_member(
    where: str, member: tars.Member, pictures: TarPictures, index: Index, limits: Limits
) -> Iterator[Found]:
    if member.fault is not None or member.file is None:
        yield (member.fault or Fault("link", "It is no file.")).of(where)
    elif is_image(member.name):
        pictures.add(member)
    elif _is_json(member.read(64)):
        member.file.seek(0)
        yield from _add_records(where, member.file, index, limits)
    else:
        yield Passed(where, "not-a-package")


def first_kind(source: Source, limits: Limits) -> Holds:
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
                head = member.read(4096)
                if _is_json(head) and any(key in head for key in RECORD_KEYS):
                    return "records"
                if not _is_json(head):
                    return "packages"
    return kind


def begins_with_image(source: Source, limits: Limits) -> bool:
    """Whether the first file of a tar is an image."""
    try:
        with source.open() as stream:
            first = next(tars.members(stream, limits), None)
            return first is not None and is_image(first.name)
    except (Fault, Forbidden, NotFound):
        return False


def _mode(stream: BinaryIO) -> str:
    """Seek from header to header where that works; a stream is read through."""
    if not stream.seekable():
        return "r|*"
    compressed = tars.is_compressed(stream.read(8))
    stream.seek(0)
    return "r|*" if compressed else "r:"


def _is_json(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b"{"))


# ---- records ---------------------------------------------------------------------------------------------


def _add_records(name: str, file: IO[bytes], index: Index, limits: Limits) -> Generator[Found, None, int]:
    """File the records of a JSON file under their patents. Returns how many could be."""
    count, ordinal = 0, 0
    try:
        for ordinal, value in jsons.values(file, limits):
            where = f"{name}, record {ordinal}"
            if isinstance(value, Fault):
                yield value.of(where)
                continue
            if count == 0 and isinstance(value, dict) and not deeppatent2.looks_like(value):
                raise Fault("unknown-format", "The JSON's first object is no record of DeepPatent2.")
            rejected = deeppatent2.add_record(index, where, value)
            count += rejected is None
            if rejected is not None:
                yield rejected
    except Fault as fault:
        yield fault.of(name)
    else:
        if ordinal == 0:
            yield Rejected(name, "unknown-format", "The JSON holds no records.")
    return count


# ---- images ----------------------------------------------------------------------------------------------


def _libraries(
    place: Source | None, given: bool, index: Index, opened: ExitStack, limits: Limits
) -> Generator[Found, None, list[Pictures]]:
    """Where images are looked for: a tar, or a folder with the tars of images in it."""
    if place is None:
        return []
    numbers = itertools.count()
    found: list[Pictures] = []
    for tar in [place] if not place.is_folder else _tars_of_images(place, limits):
        library = TarPictures(opened.enter_context(tar.open()), index, next(numbers), limits)
        try:
            library.add_all()
        except Fault as fault:
            yield fault.of(tar.name)
        found.append(library)
    if place.is_folder and (given or _has_image(place)):
        found.append(FolderPictures(place, index, next(numbers), limits))
    return found


def _tars_of_images(folder: Source, limits: Limits) -> Iterator[Source]:
    try:
        children = folder.children()
    except (Forbidden, NotFound):  # a file may be read though its folder may not be listed
        return
    for child in children:
        if child.name.lower().endswith(TAR_NAMES) and begins_with_image(child, limits):
            yield child


def _has_image(folder: Source) -> bool:
    return any(is_image(path) for path, _ in walk(folder))
