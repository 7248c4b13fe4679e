"""ZIP archives of strangers: what is in them is checked before anything is unpacked."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO

from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.limits import Limits, check_name
from linework_core.errors import UnreadableImage

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA could ask for gigabytes
END_RECORD = b"PK\x05\x06"
MAGIC = (b"PK\x03\x04", END_RECORD)


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a package. `read` gives its bytes and raises UnreadableImage where they are damaged."""

    name: str
    size: int
    read: Callable[[], bytes]


def open_zip(file: BinaryIO | IO[bytes], limits: Limits) -> zipfile.ZipFile:
    """The archive, with all its members found to be harmless.

    Raises Fault: bad-archive, too-large (table of contents), encrypted, link, unsafe-path, duplicate-member, bomb.
    """
    _check_directory(file, limits)
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED as error:
        raise Fault("bad-archive", f"The ZIP is damaged: {error}.") from None
    seen: set[str] = set()
    for info in archive.infolist():
        _check(info, limits)
        if info.filename.lower() in seen:
            raise Fault("duplicate-member", f"Two members are named {info.filename!r}.")
        seen.add(info.filename.lower())
    # members may overlap, so that their sum is a bomb though none of them is one
    limits.check_ratio(sum(info.file_size for info in archive.infolist()), file.seek(0, 2))
    return archive


def files_of(archive: zipfile.ZipFile) -> list[PackageFile]:
    """All files, folders left out."""
    return [_file(archive, info) for info in archive.infolist() if not info.is_dir()]


def file_of(archive: zipfile.ZipFile, name: str) -> PackageFile:
    """The file of that name, which is there."""
    return _file(archive, archive.getinfo(name))


def _file(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> PackageFile:
    return PackageFile(info.filename, info.file_size, partial(_read, archive, info))


def _check(info: zipfile.ZipInfo, limits: Limits) -> None:
    check_name(info.filename)
    if info.flag_bits & 0x1:
        raise Fault("encrypted", f"{info.filename} needs a password.")
    if info.compress_type not in METHODS:
        raise Fault(
            "bad-archive", f"{info.filename} is compressed by method {info.compress_type}: pack it with deflate."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise Fault("link", f"{info.filename} is a link.")
    limits.check_member(info.file_size)
    limits.check_ratio(info.file_size, info.compress_size)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes, their checksum verified. zipfile never unpacks more than the size that was checked."""
    if archive.fp is None:
        raise RuntimeError("A record's images are read before the next record is asked for.")
    try:
        return archive.read(info)
    except DAMAGED as error:
        raise UnreadableImage(f"{info.filename} is damaged in its archive: {error}") from None


def _check_directory(file: BinaryIO | IO[bytes], limits: Limits) -> None:
    """Refuse a ZIP whose table of contents is huge before Python reads it: millions of empty members."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_557))  # the end record and the longest comment
    tail = file.read(65_557)
    at = tail.rfind(END_RECORD)
    if at < 0 or len(tail) < at + 22:
        raise Fault("bad-archive", "The ZIP has no table of contents: it is damaged, or its end is missing.")
    (directory,) = struct.unpack_from("<L", tail, at + 12)
    if directory > limits.directory:
        raise Fault("too-large", f"The table of contents has {directory:,} bytes.")
    file.seek(0)
