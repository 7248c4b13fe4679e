"""Which packages a source holds. What a file is, its content tells; its name only tells images apart."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from linework_api.ingest.formats import datasets, fulltext, tables, tars, uspto, zips
from linework_api.ingest.formats.faults import Fault, Found, not_what_it_is_named
from linework_api.ingest.formats.limits import Limits, is_image
from linework_api.ingest.formats.pictures import read_all
from linework_api.ingest.formats.zips import PackageFile
from linework_api.ingest.sources import Source
from linework_core.errors import Forbidden, NotFound
from linework_core.records import Passed, Rejected

Kind = Literal["zip", "tar", "records", "xml", "image", "other"]
HEAD = 1024
XML_STARTS = (b"<", b"\xff\xfe<\0", b"\xfe\xff\0<")  # also in UTF-16


@dataclass(frozen=True, slots=True)
class Package:
    """What is read as one: a weekly tar, a ZIP, a loose grant of a folder, a data set."""

    name: str  # its path under the source
    read: Callable[[], Iterator[Found]]


def find(source: Source, images: Source | None, limits: Limits) -> Iterator[Package]:
    """The packages of a file, or of a folder and all folders in it, by name and so by date."""
    if source.is_folder:
        yield from _in_folder("", source, images, limits)
        return
    try:
        kind = kind_of(source)
    except (Forbidden, NotFound) as error:
        yield _found(source.name, Rejected(source.name, "unreadable", error.detail))
        return
    if kind == "image":
        yield _found(source.name, Rejected(source.name, "unknown-format", "An image alone does not tell what it is."))
    elif kind == "other":
        other = Rejected(source.name, "unknown-format", "It is no ZIP, tar, JSON, XML, or CSV with a column `id`.")
        yield _found(source.name, not_what_it_is_named(source.name, source.name) or other)
    else:
        yield _of_file(kind, source.name, source, images, source.folder(), limits)


def kind_of(source: Source) -> Kind:
    """What a file is. Raises Forbidden, NotFound, Unavailable."""
    if is_image(source.name):
        return "image"
    with source.open() as file:
        head = file.read(HEAD)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(zips.MAGIC):
        return "zip"
    if tars.is_compressed(head) or tars.is_tar(head):
        return "tar"
    if text.startswith((b"[", b"{")) or tables.is_table(head):
        return "records"
    return "xml" if text.startswith(XML_STARTS) else "other"


def _of_file(
    kind: Kind, name: str, source: Source, images: Source | None, folder: Source | None, limits: Limits
) -> Package:
    """The package that a file is; `folder` is where the images of a data set may lie."""
    if kind == "zip":
        return Package(name, partial(_read_zip, name, source, limits))
    if kind == "tar":
        return Package(name, partial(_read_tar, name, source, limits))
    if kind == "records":
        return Package(name, partial(datasets.read_file, name, source, images, folder, limits))
    return Package(name, partial(_read_text, name, source, limits))


def _found(name: str, found: Found) -> Package:
    return Package(name, lambda: iter([found]))


# ---- folders ---------------------------------------------------------------------------------------------


def _in_folder(above: str, folder: Source, images: Source | None, limits: Limits) -> Iterator[Package]:
    """`above` is the folder's path under the source, with a slash at its end."""
    try:
        children = folder.children()
    except (Forbidden, NotFound) as error:
        yield _found(above or folder.name, Rejected(above or folder.name, "unreadable", error.detail))
        return
    pictures = {
        child.name.lower(): PackageFile(child.name, 0, partial(read_all, child, limits))
        for child in children
        if is_image(child.name)
    }
    for child in children:
        name = above + child.name
        if child.is_folder:
            yield from _in_folder(f"{name}/", child, images, limits)
        elif not is_image(child.name):
            yield from _in_file(name, child, folder, pictures, images, limits)
    yield Package(above or folder.name, partial(uspto.week_read, folder.name))


def _in_file(
    name: str,
    source: Source,
    folder: Source,
    pictures: dict[str, PackageFile],
    images: Source | None,
    limits: Limits,
) -> Iterator[Package]:
    """The package that a file of a folder is, if it is one."""
    try:
        kind = kind_of(source)
    except (Forbidden, NotFound) as error:
        yield _found(name, Rejected(name, "unreadable", error.detail))
        return
    if kind == "other":
        yield _found(name, not_what_it_is_named(name, source.name) or Passed(name, "not-a-package"))
    elif kind == "xml" and pictures:
        document = PackageFile(source.name, 0, partial(read_all, source, limits))
        yield Package(name, partial(uspto.read_document, name, document, pictures, limits))
    elif kind not in ("tar", "zip") or not _serves_a_data_set(source, folder, limits):
        yield _of_file(kind, name, source, images, folder, limits)


def _serves_a_data_set(archive: Source, folder: Source, limits: Limits) -> bool:
    """Whether an archive holds the images of records in its folder, whose reader then reads it."""
    if not datasets.holds_only_images(archive, limits):
        return False
    return any(
        datasets.serves(archive.name, child.name) and _is_records(child)
        for child in folder.children()
        if not child.is_folder and child.name != archive.name
    )


def _is_records(source: Source) -> bool:
    try:
        return kind_of(source) == "records"
    except (Forbidden, NotFound):
        return False


# ---- files -----------------------------------------------------------------------------------------------


def _read_zip(name: str, source: Source, limits: Limits) -> Iterator[Found]:
    """A package or packages, or a data set with its images."""
    with source.open() as file:
        if datasets.zip_holds(file, limits) == "records":
            yield from datasets.read_zip(name, file, limits)
        else:
            yield from uspto.read_zip(name, file, limits)


def _read_text(name: str, source: Source, limits: Limits) -> Iterator[Found]:
    with source.open() as file:
        yield from fulltext.read(name, file, limits)


def _read_tar(name: str, source: Source, limits: Limits) -> Iterator[Found]:
    """A tar of packages, or of a data set with its images."""
    try:
        holds = datasets.tar_holds(source, limits)
    except Fault:
        holds = "packages"  # their reader will meet the fault again, and tell
    if holds == "records":
        yield from datasets.read_tar(name, source, limits)
    elif holds == "images":
        yield Rejected(name, "unknown-format", "The tar holds images and nothing that tells what they show.")
    else:
        with source.open() as stream:
            yield from uspto.read_tar(name, stream, limits)
