"""Images by name, from a folder or an uncompressed tar."""

from collections.abc import Callable
from typing import BinaryIO

from linework_api.ingest.formats import tars
from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.grouping import Index
from linework_api.ingest.formats.limits import Limits, is_image
from linework_api.ingest.sources import Source, walk
from linework_core.errors import Forbidden, NotFound, UnreadableImage

Read = Callable[[], bytes]


class FolderPictures:
    """Images under a folder, found by their path or, where that is unique, by their name."""

    def __init__(self, folder: Source, index: Index, library: int, limits: Limits) -> None:
        self.folder, self.index, self.library, self.limits = folder, index, library, limits
        self._walked = False

    def find(self, wanted: str) -> Read | None:
        """Reads the image that a record names. Raises Fault 'ambiguous-image', 'unsafe-path'."""
        try:
            source = self.folder.child(wanted)
        except Forbidden as error:
            raise Fault("unsafe-path", error.detail) from None
        if source is None:
            self._walk()
            found = self.index.images(self.library, wanted)
            if len(found) > 1:
                raise Fault("ambiguous-image", f"Several images are named {wanted!r}.")
            source = self.folder.child(found[0][0]) if found else None
        return None if source is None else lambda: read_all(source, self.limits)

    def _walk(self) -> None:
        """List the folder once, and only if a name did not lead straight to its image."""
        if not self._walked:
            self._walked = True
            for path, _ in walk(self.folder):
                if is_image(path):
                    self.index.add_image(self.library, path)

    def close(self) -> None: ...


class TarPictures:
    """Images of a tar. Its headers are read once; images are then read where they lie."""

    def __init__(self, stream: BinaryIO, index: Index, library: int, limits: Limits) -> None:
        self.stream, self.index, self.library, self.limits = stream, index, library, limits

    def add(self, member: tars.Member) -> None:
        path = member.name.removeprefix("./")
        self.index.add_image(self.library, path, member.offset, member.size)

    def add_all(self) -> None:
        """Read all headers. Raises Fault if the tar is damaged or compressed; what was read stays known."""
        if tars.is_compressed(self.stream.read(8)):
            raise Fault("compressed-archive", "Unpack the tar: its images are wanted in any order.")
        self.stream.seek(0)
        for member in tars.members(self.stream, self.limits, mode="r:"):
            if member.fault is None and is_image(member.name):
                self.add(member)

    def find(self, wanted: str) -> Read | None:
        """Reads the image that a record names. Raises Fault 'ambiguous-image'."""
        found = self.index.images(self.library, wanted.removeprefix("./"))
        if len(found) > 1:
            raise Fault("ambiguous-image", f"Several images are named {wanted!r}.")
        return (lambda: self._read(*found[0])) if found else None

    def _read(self, path: str, start: int, size: int) -> bytes:
        self.stream.seek(start)
        data = self.stream.read(size)
        if len(data) < size:
            raise UnreadableImage(f"The tar ends within {path}.")
        return data

    def close(self) -> None:
        self.stream.close()


Pictures = FolderPictures | TarPictures


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
