"""A source larger than memory and temporary disk is read all the same."""

import gc
import io
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from linework_api.ingest.formats import read
from linework_api.ingest.sources import FileSource, Source
from linework_core.records import PackageRead, PatentRecord
from tests.ingest.building import as_lines, data_record, package, png, tarred, write, zipped

MB = 1 << 20


class Pipe(io.RawIOBase):
    """Bytes that are made as they are read, and cannot be sought."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


@dataclass
class Weekly:
    """A weekly tar of any length, made on the fly: `count` designs, each after a large utility package."""

    count: int
    padding: int  # bytes of a utility package
    name: str = "I20210105.tar"
    is_folder: bool = False

    def open(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(Pipe(self._pieces()), 64 << 10))

    def _pieces(self) -> Iterator[bytes]:
        zeros = bytes(MB)
        for n in range(1, self.count + 1):
            yield self._header(f"I20210105/UTIL/{n}.ZIP", self.padding)
            for _ in range(self.padding // MB):
                yield zeros
            design = zipped(package(f"D{n:07d}"))
            yield self._header(f"I20210105/DESIGN/USD{n:07d}-20210105.ZIP", len(design))
            yield design + bytes(-len(design) % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _header(self, name: str, size: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf()

    def children(self) -> list[Source]:
        raise NotADirectoryError

    def child(self, path: str) -> Source | None:
        raise NotADirectoryError

    def folder(self) -> Source | None:
        return None


@pytest.fixture
def no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files go to a folder that a test can look into."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def bytes_on(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_tar_of_hundreds_of_megabytes_takes_little_memory_and_no_disk(no_disk: Path) -> None:
    taken, disk = 0, 0
    tracemalloc.start()
    for found in read(Weekly(count=60, padding=5 * MB)):
        if isinstance(found, PatentRecord):
            taken += sum(len(sheet.read()) > 0 for sheet in found.sheets)
            disk = max(disk, bytes_on(no_disk))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken == 240
    assert isinstance(found, PackageRead)
    assert peak < 8 * MB
    assert disk == 0


def test_memory_does_not_grow_with_the_number_of_members() -> None:
    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        for _ in read(Weekly(count=count, padding=0)):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # what is imported and cached on first use
    # a member leaves some 30 kB behind if anything; cycles that wait for their collection are not growth
    assert peak(100) < peak(20) + MB


def test_a_large_package_of_a_tar_goes_to_disk_and_is_gone_afterwards(no_disk: Path) -> None:
    files = package() | {f"USD0907292-20210105/extra{n}.TIF": bytes(range(256)) * 4096 for n in range(30)}
    path = write(no_disk / "in", {"a.tar": tarred(files)}) / "a.tar"
    for found in read(FileSource(path)):
        assert isinstance(found, PatentRecord)
        assert bytes_on(no_disk) > 2 * path.stat().st_size - MB
    assert bytes_on(no_disk) == path.stat().st_size


def test_a_data_set_is_put_together_on_disk_which_is_given_back(no_disk: Path) -> None:
    folder = no_disk / "in"
    lines = folder / "data.jsonl"
    write(folder, {"x.png": png()})
    with lines.open("w") as file:
        file.writelines(as_lines([_record(n)]) for n in range(6_000))
    before = bytes_on(no_disk)
    tracemalloc.start()
    count = sum(isinstance(found, PatentRecord) for found in read(FileSource(lines)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 300
    assert peak < 8 * MB
    assert lines.stat().st_size > 20 * MB
    assert bytes_on(no_disk) == before


def _record(n: int) -> dict[str, Any]:
    files = {"figure_file": "x.png", "subfigure_file": "x.png", "padding": "-" * 3600}
    return data_record(f"LD{n % 300}-20000101", drawing=n // 300 + 1) | files
