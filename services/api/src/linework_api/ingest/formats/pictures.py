"""Images by name, from a folder, a tar or a ZIP."""

import tempfile
from collections.abc import Callable
from functools import partial
from typing import IO, BinaryIO

from linework_api.ingest.formats import tars, zips
from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.grouping import Index
from linework_api.ingest.formats.limits import Limits, is_image
from linework_api.ingest.sources import Source, walk
from linework_core.errors import Forbidden, NotFound, UnreadableImage

Read = Callable[[], bytes]
Place = tuple[str, int, int]  # path in its library, and in a tar where its bytes begin and how many they are


class FolderPictures:
    """Images under a folder, found by their path or, where that is unique, by their name."""

    def __init__(self, folder: Source, index: Index, library: int, limits: Limits) -> None:
        self.folder, self.index, self.library, self.limits = folder, index, library, limits
        self.label = folder.name
        self._listed = False

    def find(self, wanted: str, kind: str | None = None) -> Read | None:
        """Reads the image that a record names. Raises Fault 'ambiguous-image', 'unsafe-path'."""
        try:
            source = self.folder.child(wanted)
        except Forbidden as error:
            raise Fault("unsafe-path", error.detail) from None
        if source is None:
            self.list_all()
            place = _only(self.index.images(self.library, wanted, kind), wanted)
            source = self.folder.child(place[0]) if place else None
        return None if source is None else lambda: read_all(source, self.limits)

    def list_all(self) -> None:
        """List the folder once, and only if a name did not lead straight to its image."""
        if not self._listed:
            self._listed = True
            for path, _ in walk(self.folder):
                if is_image(path):
                    self.index.add_image(self.library, path)


class TarPictures:
    """Images of a tar. Its headers are read once; images are then read where they lie.

    A compressed tar cannot be read in any order: its images are copied to temporary disk, as far as limits allow.
    """

    def __init__(self, stream: BinaryIO, label: str, index: Index, library: int, limits: Limits) -> None:
        self.stream, self.label, self.index, self.library, self.limits = stream, label, index, library, limits
        compressed = tars.is_compressed(stream.read(8))
        stream.seek(0)
        self.mode = "r|*" if compressed else "r:"
        self._copy: IO[bytes] | None = tempfile.TemporaryFile() if compressed else None  # noqa: SIM115  close() does

    def add(self, member: tars.Member) -> None:
        """Note an image. Raises Fault if the tar ends within it, or unpacks to more than is allowed."""
        start = member.offset
        if self._copy is not None:
            start = self._copy.seek(0, 2)
            if start + member.size > self.limits.copied:
                raise Fault("too-large", f"It unpacks to more than {self.limits.copied:,} bytes: unpack it first.")
            member.copy_to(self._copy)
        self.index.add_image(self.library, member.name.removeprefix("./"), start, member.size)

    def add_all(self) -> None:
        """Note all images. Raises Fault if the tar is damaged; what was read stays known."""
        for member in tars.members(self.stream, self.limits, mode=self.mode):
            if member.fault is None and is_image(member.name):
                self.add(member)

    def find(self, wanted: str, kind: str | None = None) -> Read | None:
        """Reads the image that a record names. Raises Fault 'ambiguous-image'."""
        place = _only(self.index.images(self.library, wanted.removeprefix("./"), kind), wanted)
        return partial(self._read, *place) if place else None

    def list_all(self) -> None:
        """All images are known from the beginning."""

    def _read(self, path: str, start: int, size: int) -> bytes:
        file = self.stream if self._copy is None else self._copy
        file.seek(start)
        data = file.read(size)
        if len(data) < size:
            raise UnreadableImage(f"The tar ends within {path}.")
        return data

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()


class ZipPictures:
    """Images of a ZIP. Raises Fault as `zips.open_zip` does."""

    def __init__(self, file: BinaryIO, label: str, index: Index, library: int, limits: Limits) -> None:
        self.label, self.index, self.library = label, index, library
        self.archive = zips.open_zip(file, limits.of_images())

    def add_all(self) -> None:
        """Note all images."""
        for info in self.archive.infolist():
            if is_image(info.filename):
                self.index.add_image(self.library, info.filename)

    def find(self, wanted: str, kind: str | None = None) -> Read | None:
        """Reads the image that a record names. Raises Fault 'ambiguous-image'."""
        place = _only(self.index.images(self.library, wanted.removeprefix("./"), kind), wanted)
        return zips.file_of(self.archive, place[0]).read if place else None

    def list_all(self) -> None:
        """All images are known from the beginning."""


Pictures = FolderPictures | TarPictures | ZipPictures


def _only(found: list[Place], wanted: str) -> Place | None:
    if len(found) > 1:
        raise Fault("ambiguous-image", f"Several images are named {wanted!r}.")
    return found[0] if found else None


def read_all(source: Source, limits: Limits) -> bytes:
    """The bytes of a file. Raises UnreadableImage if it may not be read or has more than a member may have."""
    try:
        with source.open() as file:
            data = file.read(limits.member + 1)
    except (Forbidden, NotFound) as error:
        raise UnreadableImage(error.detail) from None
    if len(data) > limits.member:
        raise UnreadableImage(f"{source.name} has more than {limits.member:,} bytes.")
    return data
