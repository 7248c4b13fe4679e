"""How much a stranger's archive may ask of us."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from linework_api.ingest.formats.faults import Fault

MB = 1 << 20
DOCUMENTS = (".xml", ".sgm", ".sgml")
IMAGES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. The defaults leave room for the largest design packages (1 GB of colour photographs)."""

    member: int = 256 * MB  # one file in an archive
    package_files: int = 2_000
    package: int = 1024 * MB  # one package, unpacked
    directory: int = 8 * MB  # table of contents of a ZIP; it is read into memory
    image_directory: int = 64 * MB  # that of a ZIP with the images of a data set
    copied: int = 64 * 1024 * MB  # images of a compressed tar, copied to temporary disk
    ratio: int = 250  # unpacked to packed, beyond `ratio_floor`
    ratio_floor: int = 16 * MB
    nesting: int = 3  # archives within archives
    xml: int = 32 * MB
    xml_elements: int = 1_000_000  # each takes some 120 bytes of memory, though `<a/>` has four
    json_record: int = 8 * MB
    json_depth: int = 32  # brackets within brackets; a record has two
    header: int = MB  # a tar's extended header (long names); it is read into memory

    def of_images(self) -> "Limits":
        """Those for a ZIP with the images of a data set: more of them than a package has."""
        return replace(self, directory=self.image_directory)

    def check_ratio(self, unpacked: int, packed: int) -> None:
        """Raises Fault 'bomb'. A white sheet may shrink a thousandfold, so small sizes pass."""
        if unpacked > self.ratio_floor and unpacked > self.ratio * max(packed, 1):
            raise Fault("bomb", f"{packed:,} bytes would unpack to {unpacked:,}.")

    def check_member(self, size: int) -> None:
        """Raises Fault 'too-large'."""
        if size > self.member:
            raise Fault("too-large", f"It has {size:,} bytes; {self.member:,} are allowed.")


def check_name(name: str) -> None:
    """Raises Fault 'unsafe-path' for a member that would land outside its archive."""
    path = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise Fault("unsafe-path", f"The name {name[:200]!r} is absolute or leads upwards.")


def is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGES
