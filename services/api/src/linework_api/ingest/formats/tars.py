"""Tars of strangers, read as a stream: one member at a time, in order, nothing kept."""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Self

from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.limits import MB, Limits, check_name

DAMAGED = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, MemoryError)  # xz may ask for gigabytes
SPARSE_MAP_GOES_ON = 482  # a header's byte: more of the map of a sparse file stands in the blocks behind it
EMPTY_READS = 16  # at its end; tarfile needs a few
EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)


def is_compressed(head: bytes) -> bool:
    return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zX"))  # gzip, bzip2, xz


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is an uncompressed tar: its first header's checksum is right."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "replace")
    except tarfile.HeaderError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a tar, good until the next one is asked for. With a `fault` it has no `file`."""

    name: str
    size: int
    offset: int  # where its bytes begin in the (uncompressed) tar
    file: IO[bytes] | None
    fault: Fault | None = None

    def read(self, size: int = -1) -> bytes:
        """Bytes of the member. Raises Fault if it is harmful or the tar ends within it."""
        if self.fault is not None or self.file is None:
            raise self.fault or Fault("link", f"{self.name} is no file.")
        try:
            return self.file.read(size)
        except DAMAGED as error:
            raise Fault("truncated-archive", f"The tar ends within {self.name}: {error}.") from None

    def copy_to(self, target: IO[bytes]) -> None:
        """What is left to read of the member, piece by piece. Raises Fault as `read` does."""
        while piece := self.read(MB):
            target.write(piece)


def members(stream: BinaryIO, limits: Limits, *, mode: str = "r|*") -> Iterator[Member]:
    """The files of a tar in their order; a harmful member comes with its fault, and the rest goes on.

    Mode 'r|*' streams, compressed or not, from anything that reads; 'r:' seeks from header to header.
    Raises Fault at the end of a tar that is damaged or ends early.
    """
    counted = _Counted(stream)
    try:
        with tarfile.open(  # type: ignore[call-overload]
            fileobj=counted, mode=mode, tarinfo=_header(limits), errors="replace"
        ) as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # tarfile remembers every member; a million of them is a gigabyte
                if not info.isdir():
                    yield _member(tar, info, limits)
                    _skip(tar, info, counted, limits)
            if not getattr(tar, "ended", False):
                raise Fault("truncated-archive", "The tar ends without its end marker.")
    except DAMAGED as error:
        early = "unexpected end" in str(error) or isinstance(error, EOFError)
        raise Fault("truncated-archive" if early else "bad-archive", f"The tar is damaged: {error}.") from None


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, limits: Limits) -> Member:
    try:
        check_name(info.name)
        if not info.isreg() or info.issparse():
            raise Fault("link", f"{info.name} is a link, a device or a sparse file.")
        limits.check_member(info.size)
    except Fault as fault:
        return Member(info.name, info.size, info.offset_data, None, fault)
    return Member(info.name, info.size, info.offset_data, tar.extractfile(info))


def _skip(tar: tarfile.TarFile, info: tarfile.TarInfo, counted: "_Counted", limits: Limits) -> None:
    """Notice a compressed tar that is a bomb. Too large a member is passed over piece by piece for that."""
    stream = tar.fileobj
    if getattr(stream, "comptype", "tar") == "tar" or stream is None:
        return
    left = info.size if info.size > limits.member else 0
    while left > 0 and (piece := stream.read(min(MB, left))):
        left -= len(piece)
        limits.check_ratio(stream.tell(), counted.bytes_read)
    limits.check_ratio(stream.tell(), counted.bytes_read)


class _Counted:
    """A stream that knows how much of it was read, and that ends: a header may claim exabytes, through which tarfile
    would go block by block though nothing comes any more.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.bytes_read, self._empty = stream, 0, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.bytes_read += len(data)
        self._empty = 0 if data else self._empty + 1
        if self._empty > EMPTY_READS:
            raise tarfile.ReadError("unexpected end of data")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return self._stream.seekable()


def _header(limits: Limits) -> type[tarfile.TarInfo]:
    """Headers that note the end marker, and refuse an extended header that would fill the memory."""

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
            header = super().frombuf(buf, encoding, errors)
            too_long = header.type in (*EXTENDED, tarfile.GNUTYPE_LONGLINK) and header.size > limits.header
            if header.size < 0 or too_long:
                raise tarfile.ReadError(f"an extended header of {header.size:,} bytes")
            if header.type == tarfile.GNUTYPE_SPARSE and buf[SPARSE_MAP_GOES_ON]:
                raise tarfile.ReadError("a sparse file with a long map, all of which would be read into memory")
            return header

        @classmethod
        def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
            try:
                return super().fromtarfile(tar)
            except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
                tar.ended = True  # type: ignore[attr-defined]
                raise

    return Header
