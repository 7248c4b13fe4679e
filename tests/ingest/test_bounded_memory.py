"""What a small file may take of the reader's memory, measured in a process of its own, and what goes on beside it."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from linework_api.ingest.formats import Limits, datasets
from linework_api.ingest.formats.jsons import Metered, values
from tests.ingest.building import as_json, as_lines, data_record, found_in, grant, ids_in, reasons_in, write

MB = 1 << 20
MEMORY = 300 * MB  # what a reader has after its imports, and what the largest legal record may take

READ = """
import resource, re, sys
from pathlib import Path
from linework_api.ingest.formats import read
from linework_api.ingest.sources import FileSource
from linework_core.records import PatentRecord
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit + (2 << 30), limit + (2 << 30)))  # a safety net for the machine
for one in read(FileSource(Path(sys.argv[1]))):
    print(one.id if isinstance(one, PatentRecord) else one.reason)
# not getrusage: its ru_maxrss remembers the process that this one was forked from
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024, file=sys.stderr)
"""


def read_apart(path: Path) -> tuple[list[str], int]:
    """The ids of records and reasons of faults, and the peak of memory in bytes of a process that read them."""
    command = [sys.executable, "-c", READ, str(path), str(MEMORY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split(), int(done.stderr.splitlines()[-1])


def nested(depth: int) -> str:
    return json.dumps(data_record("LD2-20000101"))[:-1] + ', "keywords": ' + "[" * depth + "]" * depth + "}"


def records_around(middle: str, *, lines: bool) -> str:
    first, last = (json.dumps(data_record(f"LD{n}-20000101")) for n in (1, 3))
    return f"{first}\n{middle}\n{last}\n" if lines else f"[{first}, {middle}, {last}]"


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
@pytest.mark.parametrize("depth", [100, 1_000, 200_000])
def test_a_record_of_any_depth_costs_itself_only_and_little_memory(tmp_path: Path, depth: int, lines: bool) -> None:
    path = write(tmp_path, {"data.json": records_around(nested(depth), lines=lines)}) / "data.json"
    said, memory = read_apart(path)
    assert [word for word in said if word != "no-images"] == ["too-deep", "LD1", "LD3"]
    assert memory < MEMORY


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
def test_brackets_in_a_text_are_no_depth(tmp_path: Path, lines: bool) -> None:
    text = json.dumps(data_record("LD2-20000101") | {"caption": '"[{' * 1000 + "\\", "keywords": [["a"]] * 100})
    path = write(tmp_path, {"data.json": records_around(text, lines=lines)}) / "data.json"
    assert ids_in(path) == ["LD1", "LD2", "LD3"]


def test_the_deepest_legal_record_is_read(tmp_path: Path) -> None:
    limit = Limits().json_depth
    for written in (as_json, as_lines):
        path = write(tmp_path, {"data.json": written([json.loads(nested(limit - 1))])}) / "data.json"
        assert ids_in(path) == ["LD2"]
        path = write(tmp_path, {"data.json": written([json.loads(nested(limit))])}) / "data.json"
        assert "too-deep" in reasons_in(path)


def test_values_are_those_that_the_json_module_reads(tmp_path: Path) -> None:
    records = [{"a": [1, 2.5, None, True, {"b": []}], "c": {}}, [], {}, "x", 3, None, [[1], [2, [3]]]]
    path = write(tmp_path, {"data.json": json.dumps(records)}) / "data.json"
    with path.open("rb") as file:
        assert [value for _, value in values(Metered(file, Limits()), Limits())] == records


@pytest.mark.parametrize("root", ["us-patent-grant", "PATDOC"])
@pytest.mark.parametrize("inside", ["<a>" * 200_000 + "</a>" * 200_000, "<a/>" * 7_000_000], ids=["deep", "wide"])
def test_xml_of_any_shape_takes_little_memory(tmp_path: Path, root: str, inside: str) -> None:
    folder = write(tmp_path, {"a.xml": f"<{root}>{inside}</{root}>", "b.xml": grant()})
    said, memory = read_apart(folder)
    assert said[1:] == ["USD0907292"]
    assert said[0] in ("bad-xml", "too-large", "unsupported-xml")
    assert memory < MEMORY


def test_a_row_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    rows = "id,date,title\nX1,2001-01-02,Lamp\n"
    path = write(tmp_path, {"a.csv": rows + '"\n",' * 20_000_000}) / "a.csv"
    said, memory = read_apart(path)
    assert [word for word in said if word != "no-images"] == ["too-large", "X1"]
    assert memory < MEMORY


def test_the_map_of_a_sparse_file_does_not_fill_the_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a.ZIP")
    header.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[482] = 1
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
    more = (b"%011o\0" % 1) * 42 + b"\1" + bytes(7)
    (tmp_path / "I20210105.tar").write_bytes(bytes(block) + more * 200_000 + bytes(1024))
    said, memory = read_apart(tmp_path)
    assert said == ["bad-archive"]
    assert memory < MEMORY


def test_a_reader_that_fails_costs_the_rest_of_its_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, *_: object) -> object:
        raise RecursionError(name)

    monkeypatch.setattr(datasets, "read_file", fail)
    write(tmp_path, {"a.json": as_json([data_record()]), "b.xml": grant()})
    assert reasons_in(tmp_path) == ["unreadable-record"]
    assert ids_in(tmp_path) == ["USD0907292"]


def test_a_disk_that_is_full_is_no_fault_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, *_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets, "read_file", fail)
    write(tmp_path, {"a.json": as_json([data_record()])})
    with pytest.raises(OSError, match="No space"):
        found_in(tmp_path)
