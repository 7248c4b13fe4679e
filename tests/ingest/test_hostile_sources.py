"""Archives and documents that are broken or meant to harm: each is set aside, and the rest goes on."""

import contextlib
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import obstore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from linework_api.ingest.formats import REASONS, Limits, read
from linework_api.ingest.sources import FileSource, in_store
from linework_core.errors import UnreadableImage
from linework_core.records import PatentRecord, Rejected
from tests.ingest.building import (
    add_to_tar,
    as_json,
    as_lines,
    data_record,
    found_in,
    grant,
    ids_in,
    package,
    png,
    reasons_in,
    tarred,
    tiff,
    weekly,
    write,
    zipped,
)

MB = 1 << 20


def reasons(folder: Path, data: bytes, limits: Limits | None = None) -> list[str]:
    return reasons_in(write(folder, {"source": data}) / "source", limits=limits)


def zip_with(entry: zipfile.ZipInfo | str, data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in package().items():
            archive.writestr(name, content)
        archive.writestr(entry, data)
    return buffer.getvalue()


def tar_with(name: str, data: bytes = b"", **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_to_tar(tar, "a.zip", zipped(package("D0000001")))
        add_to_tar(tar, name, data, **fields)
        add_to_tar(tar, "b.zip", zipped(package("D0000002")))
    return buffer.getvalue()


# ---- broken ----------------------------------------------------------------------------------------------


def test_one_broken_package_does_not_stop_a_weekly_tar(tmp_path: Path) -> None:
    broken = {"I20210105/DESIGN/USD0000001-20210105.ZIP": zipped(package())[:500]}
    path = write(tmp_path, {"I20210105.tar": weekly(["D0907292"], others=broken)}) / "I20210105.tar"
    first, second, _ = found_in(path)
    assert isinstance(first, Rejected)
    assert first.reason == "bad-archive"
    assert first.name == "I20210105.tar/I20210105/DESIGN/USD0000001-20210105.ZIP"
    assert isinstance(second, PatentRecord)


@pytest.mark.parametrize("xml", [b"<us-patent-grant>", b"", b"\xff\xfe\x00", grant()[:1000], b"<a>" * 10_000])
def test_xml_that_is_not_well_formed_is_set_aside(tmp_path: Path, xml: bytes) -> None:
    assert reasons(tmp_path, zipped({"a/a.XML": xml})) == ["bad-xml"]


@pytest.mark.parametrize("xml", [b"<html/>", b"<PATDOC/>", b"<us-patent-grant/>"])
def test_xml_of_another_kind_is_set_aside(tmp_path: Path, xml: bytes) -> None:
    assert reasons(tmp_path, zipped({"a/a.XML": xml})) == ["unsupported-xml"]


@pytest.mark.parametrize("number", ["", "D", "X0000001", "D12345678"])
def test_a_number_that_is_none_is_set_aside(tmp_path: Path, number: str) -> None:
    assert reasons(tmp_path, zipped({"a/a.XML": grant(number)})) == ["bad-id"]


def test_a_grant_with_nothing_in_it_but_its_number_is_read(tmp_path: Path) -> None:
    xml = b"""<us-patent-grant><us-bibliographic-data-grant><publication-reference><document-id><country>US</country>
        <doc-number>D0907292</doc-number><kind>S1</kind></document-id></publication-reference>
        </us-bibliographic-data-grant></us-patent-grant>"""
    (record,) = found_in(write(tmp_path, {"a.zip": zipped({"a.xml": xml})}) / "a.zip")
    assert isinstance(record, PatentRecord)
    assert (record.id, record.granted, record.title, record.figures) == ("USD0907292", None, None, ())


NAMES = {
    "USD0000001-20210105.ZIP": "bad-archive", "I20210112.tar": "bad-archive", "i.tar.gz": "bad-archive",
    "x.TGZ": "bad-archive", "a.xml": "bad-xml", "b.SGM": "bad-xml", "c.json": "bad-json", "d.jsonl": "bad-json",
}  # fmt: skip


@pytest.mark.parametrize("content", [b"", bytes(2000), b"an error page of a server", b"P"], ids=repr)
@pytest.mark.parametrize("name", NAMES)
def test_what_has_a_packages_name_and_is_none_is_set_aside_by_its_name(
    tmp_path: Path, name: str, content: bytes
) -> None:
    folder = write(tmp_path / "week", {name: content, "USD0907292-20210105.ZIP": zipped(package()), "README": b"x"})
    by_name = {one.name: one for one in found_in(folder) if not isinstance(one, PatentRecord)}
    assert by_name.keys() == {name, "README"}
    (rejected,) = (one for one in by_name.values() if isinstance(one, Rejected))
    assert (rejected.name, rejected.reason) == (name, NAMES[name])
    assert reasons_in(folder / name) == [NAMES[name]]  # alone, too


@pytest.mark.parametrize("content", [b"", b"an error page of a server"], ids=repr)
def test_the_same_holds_within_a_weekly_tar_and_within_a_zip(tmp_path: Path, content: bytes) -> None:
    broken = {"I20210105/DESIGN/USD0000001-20210105.ZIP": content}
    write(tmp_path, {"I20210105.tar": weekly(["D0907292"], others=broken), "b.zip": zipped({"a/x.ZIP": content})})
    assert reasons_in(tmp_path / "I20210105.tar") == ["bad-archive"]
    assert reasons_in(tmp_path / "b.zip") == ["bad-archive"]


def test_a_package_without_xml_is_set_aside(tmp_path: Path) -> None:
    assert reasons(tmp_path, zipped({"a/a.TIF": tiff()})) == ["no-xml"]
    assert reasons(tmp_path, zipped({})) == ["no-xml"]


@pytest.mark.parametrize("kept", [0.2, 0.4, 0.6])
def test_a_tar_that_ends_early_gives_what_came_before_and_one_rejected(tmp_path: Path, kept: float) -> None:
    data = weekly([f"D000000{n}" for n in range(1, 9)])
    path = write(tmp_path, {"I20210105.tar": data[: int(len(data) * kept)]}) / "I20210105.tar"
    *records, last = found_in(path)
    expected = [f"USD000000{n}" for n in range(1, len(records) + 1)]
    assert [record.id for record in records if isinstance(record, PatentRecord)] == expected
    assert 0 < len(records) < 8
    assert isinstance(last, Rejected)
    assert last.reason == "truncated-archive"


def test_a_tar_that_ends_between_two_members_is_noticed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_to_tar(tar, "a.zip", zipped(package()))
        end = buffer.tell()
    assert reasons(tmp_path, buffer.getvalue()[:end]) == ["truncated-archive"]


def test_a_compressed_tar_that_ends_early_is_noticed(tmp_path: Path) -> None:
    data = tarred({f"{n}.zip": zipped(package(f"D000000{n}")) for n in range(1, 9)}, "w:gz")
    *records, last = found_in(write(tmp_path, {"a.tgz": data[: len(data) // 2]}) / "a.tgz")
    assert records
    assert all(isinstance(record, PatentRecord) for record in records)
    assert isinstance(last, Rejected)
    assert last.reason == "truncated-archive"


def test_rubbish_within_a_tar_ends_it(tmp_path: Path) -> None:
    data = tarred({"a.zip": zipped(package())})
    header = tarfile.BLOCKSIZE + len(zipped(package()))
    header += -header % tarfile.BLOCKSIZE
    assert reasons(tmp_path, data[:header] + b"rubbish" * 1000) == ["truncated-archive"]


def test_a_sheet_whose_checksum_is_wrong_says_so_when_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in package().items():
            archive.writestr(name, content)
    data = bytearray(buffer.getvalue())
    data[data.index(tiff(2)) + 60] ^= 0xFF
    reading = read(FileSource(write(tmp_path, {"a.zip": bytes(data)}) / "a.zip"))
    record = next(reading)
    assert isinstance(record, PatentRecord)
    with pytest.raises(UnreadableImage, match="D00002"):
        record.sheets[2].read()
    assert record.sheets[3].read() == tiff(3)


def test_a_truncated_tiff_is_left_to_the_decoder(tmp_path: Path) -> None:
    files = package()
    files["USD0907292-20210105/USD0907292-20210105-D00001.TIF"] = tiff(1)[:40]
    (record,) = found_in(write(tmp_path, {"a.zip": zipped(files)}) / "a.zip")
    assert isinstance(record, PatentRecord)
    assert len(record.sheets) == 4


def test_an_xml_whose_checksum_is_wrong_is_set_aside(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.XML", grant())
    data = bytearray(buffer.getvalue())
    data[data.index(b"Lamp")] = ord("D")
    assert reasons(tmp_path, bytes(data)) == ["bad-archive"]


# ---- paths, links, duplicates ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x.TIF", "/etc/passwd", "a/../../x.TIF", "..\\x.TIF", "C:\\x.TIF"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, name: str) -> None:
    assert reasons(tmp_path / "zip", zip_with(name)) == ["unsafe-path"]
    path = write(tmp_path, {"a.tar": tar_with(name, b"x")}) / "a.tar"
    assert reasons_in(path) == ["unsafe-path"]
    assert ids_in(path) == ["USD0000001", "USD0000002"]


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a/link.TIF")
    entry.external_attr = 0o120777 << 16
    assert reasons(tmp_path, zip_with(entry, b"/etc/passwd")) == ["link"]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE):
        data = tar_with("DESIGN/x.ZIP", type=kind, linkname="/etc/passwd")
        assert reasons(tmp_path, data) == ["link"]
        assert ids_in(tmp_path / "source") == ["USD0000001", "USD0000002"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_refused(tmp_path: Path) -> None:
    other = zip_with("usd0907292-20210105/USD0907292-20210105.xml", b"<other/>")
    assert reasons(tmp_path, other) == ["duplicate-member"]
    again = tar_with("a.zip", zipped(package("D0000003")))
    assert reasons(tmp_path, again) == ["duplicate-member"]
    assert ids_in(tmp_path / "source") == ["USD0000001", "USD0000002"]


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(zip_with("a/secret.XML"))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.rindex(magic)
        data[start + at] |= 1
    assert reasons(tmp_path, bytes(data)) == ["encrypted"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_is_compressed_otherwise_is_set_aside_with_what_to_do(tmp_path: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.XML", grant())
    (rejected,) = found_in(write(tmp_path, {"a.zip": buffer.getvalue()}) / "a.zip")
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, "deflate" in rejected.detail) == ("bad-archive", True)


def test_names_that_are_no_text_can_be_written_to_a_database(tmp_path: Path) -> None:
    data = tar_with("a.tar").replace(b"a.tar", b"\xff\xfe.ta")
    (rejected,) = (f for f in found_in(write(tmp_path, {"x": data}) / "x") if not isinstance(f, PatentRecord))
    assert rejected.name.encode()


# ---- bombs -----------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    assert reasons(tmp_path, zip_with("a/bomb.TIF", bytes(64 * MB))) == ["bomb"]


def test_overlapping_members_are_a_bomb_together(tmp_path: Path) -> None:
    files = {f"{n}.TIF": bytes(15 * MB) for n in range(4)}
    assert reasons(tmp_path, zipped({**package(), **files})) == ["bomb"]


def test_a_member_may_not_be_larger_than_it_says(tmp_path: Path) -> None:
    files = package()
    data = bytearray(zipped(files))
    at = data.index(b"PK\x01\x02")  # of the first sheet, in the table of contents
    struct.pack_into("<L", data, at + 24, 10)
    reading = read(FileSource(write(tmp_path, {"a.zip": bytes(data)}) / "a.zip"))
    record = next(reading)
    assert isinstance(record, PatentRecord)
    with pytest.raises(UnreadableImage):
        record.sheets[0].read()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(member=300), "too-large"),
        (Limits(package=1_000), "too-large"),
        (Limits(xml=500), "too-large"),
        (Limits(package_files=3), "too-many-files"),
        (Limits(directory=100), "too-large"),
        (Limits(nesting=0), "nested-archive"),
    ],
)
def test_limits_hold_for_a_zip(tmp_path: Path, limits: Limits, reason: str) -> None:
    assert reasons(tmp_path, zipped(package()), limits) == [reason]


def test_limits_hold_for_files_in_a_tar(tmp_path: Path) -> None:
    assert set(reasons(tmp_path, tarred(package()), Limits(member=300))) == {"too-large"}
    two = tarred({**package("D0000001"), **{f"b/{n}.TIF": tiff() for n in range(9)}, **package("D0000002")})
    assert reasons(tmp_path, two, Limits(package_files=5)) == ["too-large"]
    assert ids_in(tmp_path / "source", limits=Limits(package_files=5)) == ["USD0000001", "USD0000002"]


def test_archives_in_archives_end_somewhere(tmp_path: Path) -> None:
    data = zipped(package())
    for _ in range(5):
        data = zipped({"inner.zip": data})
    assert reasons(tmp_path, data) == ["nested-archive"]
    assert reasons(tmp_path, tarred({"inner.tar": tarred(package())})) == ["nested-archive"]
    assert reasons(tmp_path, tarred({"inner": tarred(package(), "w:gz")})) == ["nested-archive"]


def test_a_compressed_tar_that_swells_is_given_up(tmp_path: Path) -> None:
    data = tarred({"a.zip": zipped(package()), "zeros.zip": bytes(40 * MB), "b.zip": b""}, "w:gz")
    path = write(tmp_path, {"a.tgz": data}) / "a.tgz"
    assert reasons_in(path, limits=Limits(member=MB)) == ["too-large", "bomb"]
    assert ids_in(path, limits=Limits(member=MB)) == ["USD0907292"]


def test_a_member_that_claims_exabytes_takes_no_time(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_to_tar(tar, "a.zip", zipped(package()))
        info = tarfile.TarInfo("b.zip")
        info.size = 2**62
        buffer.write(info.tobuf())
    assert reasons(tmp_path, buffer.getvalue()) == ["too-large", "truncated-archive"]
    assert ids_in(tmp_path / "source") == ["USD0907292"]


def test_a_long_extended_header_is_not_read_into_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_to_tar(tar, "a.zip", zipped(package()))
        add_to_tar(tar, "././@LongLink", bytes(2 * MB), type=tarfile.GNUTYPE_LONGNAME)
    assert reasons(tmp_path, buffer.getvalue()) == ["bad-archive"]
    assert ids_in(tmp_path / "source") == ["USD0907292"]


# ---- entities --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY x SYSTEM "http://127.0.0.1:1/x">',
        '<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;',
        '<!ENTITY x "swell">',
    ],
)
def test_declared_entities_are_refused(tmp_path: Path, declared: str) -> None:
    xml = grant(doctype=f"<!DOCTYPE us-patent-grant [{declared}]>", title="Lamp")
    assert reasons(tmp_path, zipped({"a.XML": xml})) == ["xml-entities"]


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE us-patent-grant [<!ENTITY l0 "{"l" * 100}">{levels}]>'
    (reason,) = reasons(tmp_path, zipped({"a.XML": grant(doctype=doctype, title='<b id="&l9;"/>')}))
    assert reason in ("bad-xml", "xml-entities")


def test_a_doctype_with_the_notations_of_images_is_fine(tmp_path: Path) -> None:
    doctype = """<!DOCTYPE us-patent-grant SYSTEM "us-patent-grant-v40-2004-12-02.dtd" [
        <!NOTATION TIF SYSTEM "tif"><!ENTITY s SYSTEM "s.TIF" NDATA TIF>]>"""
    path = write(tmp_path, {"a.zip": zipped(package(doctype=doctype, title="Chair &mdash; folding"))}) / "a.zip"
    (record,) = found_in(path)
    assert isinstance(record, PatentRecord)
    assert record.title == "Chair — folding"


# ---- damage of any kind ----------------------------------------------------------------------------------


def sources() -> dict[str, bytes]:
    records = [data_record(f"LD{n}-20000101", subfigure_file="x.png", figure_file="x.png") for n in range(5)]
    return {
        "a.zip": zipped(package()),
        "a.xml": grant(),
        "a.tar": weekly(["D0907292", "D0907293"]),
        "a.tgz": tarred(package(), "w:gz"),
        "set.tar": tarred({"data.json": as_json(records).encode(), "x.png": png()}),
        "a.json": as_json(records).encode(),
        "a.jsonl": as_lines(records).encode(),
    }


@given(
    name=st.sampled_from(sorted(sources())),
    cut=st.floats(0.01, 1),
    hits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=4)), max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_no_damage_stops_the_reader(name: str, cut: float, hits: list[tuple[float, bytes]]) -> None:
    data = bytearray(sources()[name])
    data = data[: int(len(data) * cut)]
    for place, noise in hits:
        at = int(len(data) * place)
        data[at : at + len(noise)] = noise
    store = MemoryStore()
    obstore.put(store, name, bytes(data))
    for found in read(in_store(store, name, name)):
        if isinstance(found, PatentRecord):
            for sheet in found.sheets:
                with contextlib.suppress(UnreadableImage):
                    sheet.read()
        elif isinstance(found, Rejected):
            assert found.reason in REASONS
            assert found.reason != "unreadable-record"
