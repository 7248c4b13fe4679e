"""Packages as USPTO ships them: a ZIP or folder for each design, in a weekly tar. The same design, the same bytes."""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from .design import Design
from .grant_xml import grant_xml
from .sheets import draw, tiff


def members(design: Design, size: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """The files of a package, as (name, content): the sheets, front page first, and the grant."""
    sheets = draw(design, size)
    for sheet in sheets:
        yield f"{design.name}-D{sheet.number:05d}.TIF", tiff(sheet)
    yield f"{design.name}.XML", grant_xml(design, sheets)


def package(design: Design, size: float = 1.0) -> bytes:
    """The ZIP of one design, with a folder of its name inside."""
    out = io.BytesIO()
    stamp = (design.granted.year, design.granted.month, design.granted.day, 0, 0, 0)
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members(design, size):
            entry = zipfile.ZipInfo(f"{design.name}/{name}", stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def write_package(directory: Path, design: Design, size: float = 1.0) -> Path:
    """Write the ZIP of one design into a directory; its path."""
    path = directory / f"{design.name}.ZIP"
    path.write_bytes(package(design, size))
    return path


def write_folder(directory: Path, design: Design, size: float = 1.0) -> Path:
    """Write the package of one design as a plain folder in a directory; its path."""
    folder = directory / design.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in members(design, size):
        (folder / name).write_bytes(content)
    return folder


def write_week(directory: Path, granted: date, packages: Iterable[tuple[str, bytes]]) -> Path:
    """Write a week's packages, (name, ZIP) each, as `I{YYYYMMDD}.tar`; its path."""
    week = f"I{granted:%Y%m%d}"
    path = directory / f"{week}.tar"
    noon = int(datetime(granted.year, granted.month, granted.day, 12, tzinfo=UTC).timestamp())
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in packages:
            entry = tarfile.TarInfo(f"{week}/DESIGN/{name}.ZIP")
            entry.size, entry.mtime, entry.mode = len(content), noon, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return path
