"""The shapes in which grants come: weekly tars, ZIPs in ZIPs, folders, full text alone."""

import datetime as dt
from pathlib import Path

import pytest

from linework_core.records import PackageRead, Passed, PatentRecord, Rejected
from tests.ingest.building import (
    found_in,
    grant,
    ids_in,
    only_record,
    package,
    reasons_in,
    records_in,
    tarred,
    weekly,
    write,
    zipped,
)


def test_only_designs_are_taken_from_a_weekly_tar(tmp_path: Path) -> None:
    others = {
        "I20210105/UTIL0907/US10881042-20210105.ZIP": b"not even a ZIP",
        "I20210105/PLANT/USPP032642-20210105.ZIP": b"",
        "I20210105/REISSUE/about.txt": b"",
    }
    data = weekly(["D0907292", "D0907293"], others=others)
    found = found_in(write(tmp_path, {"I20210105.tar": data}) / "I20210105.tar")
    assert [f.reason for f in found if isinstance(f, Passed)] == ["not-a-design"] * 3
    assert [f.id for f in found if isinstance(f, PatentRecord)] == ["USD0907292", "USD0907293"]
    assert found[-1] == PackageRead("I20210105.tar", dt.date(2021, 1, 5))


@pytest.mark.parametrize("name", ["I20210105.tar", "I20210105.zip"])
def test_a_damaged_week_does_not_count_as_loaded(tmp_path: Path, name: str) -> None:
    whole = weekly(["D0907292"]) if name.endswith("tar") else zipped({"DESIGN/a.ZIP": zipped(package())})
    path = write(tmp_path, {name: whole}) / name
    assert isinstance(found_in(path)[-1], PackageRead)
    path.write_bytes(whole[: len(whole) // 4])
    assert not [item for item in found_in(path) if isinstance(item, PackageRead)]


def test_a_stray_json_in_a_weekly_tar_changes_nothing(tmp_path: Path) -> None:
    data = weekly(["D0907292"], others={"I20210105/manifest.json": b'{"week": "20210105"}'})
    found = found_in(write(tmp_path, {"I20210105.tar": data}) / "I20210105.tar")
    assert [type(item) for item in found] == [Passed, PatentRecord, PackageRead]


def test_a_tar_of_another_name_is_no_week(tmp_path: Path) -> None:
    found = found_in(write(tmp_path, {"some.tar": weekly(["D0907292"])}) / "some.tar")
    assert [type(item) for item in found] == [PatentRecord]


def test_a_utility_patent_among_designs_is_passed_over(tmp_path: Path) -> None:
    utility = grant(number="10881042", kind="utility").replace(b"<kind>S1</kind>", b"<kind>B2</kind>")
    (found,) = found_in(write(tmp_path, {"a.zip": zipped({"a/a.XML": utility})}) / "a.zip")
    assert isinstance(found, Passed)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_may_be_compressed_and_hold_unpacked_packages(tmp_path: Path, mode: str) -> None:
    data = tarred({**package("D0907292"), **package("D0907293")}, mode)
    path = write(tmp_path, {"week": data}) / "week"
    assert ids_in(path) == ["USD0907292", "USD0907293"]
    assert [len(record.sheets) for record in records_in(path)] == [4, 4]


def test_a_folder_is_read_by_name_and_so_by_date(tmp_path: Path) -> None:
    write(tmp_path, {
        "2021/I20210112.tar": weekly(["D0907300"], "20210112"),
        "2021/I20210105.tar": weekly(["D0907299"], "20210105"),
        "2020/USD0900000-20201027.ZIP": zipped(package("D0900000", "20201027")),
        "README.md": b"# Packages",
        **{f"unpacked/{name}": data for name, data in package("D0800000", "20171010").items()},
        ".DS_Store": b"\0",
    })  # fmt: skip
    assert ids_in(tmp_path) == ["USD0900000", "USD0907299", "USD0907300", "USD0800000"]
    assert Passed("README.md", "not-a-package") in found_in(tmp_path)


def test_the_same_package_reads_the_same_from_zip_folder_and_tar(tmp_path: Path) -> None:
    write(tmp_path, {"a/p.zip": zipped(package()), "c/t.tar": tarred(package())})
    write(tmp_path / "b", package())
    digests = {only_record(tmp_path / place).text_digest() for place in ("a", "b", "c")}
    assert len(digests) == 1


def test_packages_in_a_zip_are_read(tmp_path: Path) -> None:
    inner = {f"DESIGN/US{n}.ZIP": zipped(package(n)) for n in ("D0907293", "D0907292")}
    assert ids_in(write(tmp_path, {"week.zip": zipped(inner)})) == ["USD0907292", "USD0907293"]


def test_full_text_alone_gives_texts_and_sets_no_drawing_aside(tmp_path: Path) -> None:
    utility = grant(number="10881042", kind="utility").replace(b"<kind>S1</kind>", b"<kind>B2</kind>")
    documents = grant("D0907292") + utility + b"<?xml version='1.0'?><broken>\n" + grant("D0907293")
    found = found_in(write(tmp_path, {"ipg210105.xml": documents}) / "ipg210105.xml")
    assert [type(item) for item in found] == [PatentRecord, Passed, Rejected, PatentRecord]
    record = found[0]
    assert isinstance(record, PatentRecord)
    assert (record.sheets, record.drawings, len(record.figures)) == ((), (), 3)


def test_detection_goes_by_content(tmp_path: Path) -> None:
    write(tmp_path, {"package.tar": zipped(package("D0907292")), "week.zip": weekly(["D0907293"])})
    assert ids_in(tmp_path) == ["USD0907292", "USD0907293"]


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7"])
def test_what_is_no_package_is_told(tmp_path: Path, data: bytes) -> None:
    assert reasons_in(write(tmp_path, {"file": data}) / "file") == ["unknown-format"]
