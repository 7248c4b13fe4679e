"""The pictures of an uploaded archive, in its order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from linework_api.ingest.formats import tars, zips
from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.limits import Limits
from linework_api.ingest.sources import Source
from linework_core.failures import storable


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of the archive. `read` is good until the next one is asked for; it raises Fault and UnreadableImage."""

    name: str
    read: Callable[[], bytes]


def pictures(source: Source, most_bytes: int) -> Iterator[Picture]:
    """Every file of a ZIP or a tar but the hidden ones. Raises Fault for an archive that is damaged or harmful."""
    for picture in _files(source, Limits(member=most_bytes)):
        parts = PurePosixPath(picture.name).parts
        if not any(part.startswith((".", "__MACOSX")) for part in parts):
            yield picture


def _files(source: Source, limits: Limits) -> Iterator[Picture]:
    with source.open() as stream:
        head = stream.read(512)
        stream.seek(0)
        if head.startswith(b"PK"):
            with zips.open_zip(stream, limits) as archive:
                for file in zips.files_of(archive):
                    yield Picture(storable(file.name), file.read)
        elif tars.is_compressed(head) or tars.is_tar(head):
            for member in tars.members(stream, limits):
                yield Picture(storable(member.name.removeprefix("./")), member.read)
        else:
            raise Fault("unknown-format", "The pictures of a batch come in a ZIP or a tar.")
