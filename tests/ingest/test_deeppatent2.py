import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pytest

from linework_api.ingest.formats import Limits, read
from linework_api.ingest.sources import FileSource
from linework_core.records import PatentRecord, Rejected
from tests.ingest.building import (
    as_json,
    as_lines,
    data_record,
    found_in,
    ids_in,
    only_record,
    package,
    png,
    reasons_in,
    tarred,
    write,
    zipped,
)

PATENT = "USD0836880-20190101"


def images(records: list[dict[str, Any]]) -> dict[str, bytes]:
    """An image for every file that records name."""
    names = [r[key] for r in records for key in ("figure_file", "subfigure_file") if key in r]
    return {name: png(n % 60) for n, name in enumerate(dict.fromkeys(names))}


def whole_sheet(n: int) -> dict[str, Any]:
    """A record whose drawing is its sheet, and whose file tells no number as DeepPatent2 writes it."""
    file = f"img/901-{n}.png"
    return data_record("LD901-20000101", drawing=n, figure_file=file, subfigure_file=file)


def one(folder: Path, records: list[dict[str, Any]], **options: Any) -> PatentRecord:
    write(folder, {"data.json": as_json(records), **images(records)})
    return only_record(folder / "data.json", **options)


def pictures_in(path: Path) -> dict[str, list[bytes]]:
    """The bytes of each patent's sheets and drawings, read while they are good."""
    return {
        record.id: [one.read() for one in (*record.sheets, *record.drawings) if one.read is not None]
        for record in read(FileSource(path))
        if isinstance(record, PatentRecord)
    }


# ---- what a record tells ---------------------------------------------------------------------------------


def test_the_facts_of_a_patent_are_read(tmp_path: Path) -> None:
    record = one(tmp_path, [data_record(drawing=1), data_record(drawing=2, sheet=2)])
    assert (record.source, record.id, record.office, record.number) == ("deeppatent2", "USD0836880", "US", "D836880")
    assert (record.granted, record.filed, record.priority) == (dt.date(2019, 1, 1), None, None)
    assert (record.title, record.locarno) == ("Pet treat", "30-07")
    assert [(f.number, f.label, f.view, f.object) for f in record.figures] == [
        ("1", "Fig. 1", "front view", "Pet treat"), ("2", "Fig. 2", "front view", "Pet treat"),
    ]  # fmt: skip


def test_ids_of_other_sources_are_legal(tmp_path: Path) -> None:
    record = one(tmp_path, [data_record("LDu9001-f1-20091229", classification_locarno="Baseplate", patentdate=None)])
    assert (record.id, record.office, record.number) == ("LDu9001-f1", "LD", "u9001-f1")
    assert (record.granted, record.locarno) == (dt.date(2009, 12, 29), "Baseplate")


@pytest.mark.parametrize(
    ("printed", "locarno", "edition"),
    [("26-05", "26-05", None), (2605, "26-05", None), ("26-05 (ed. 12)", "26-05", "12"), ("", None, None)],
)
def test_a_class_of_locarno_form_is_normalised(
    tmp_path: Path, printed: object, locarno: str | None, edition: str | None
) -> None:
    record = one(tmp_path, [data_record(classification_locarno=printed)])
    assert (record.locarno, record.locarno_edition) == (locarno, edition)


def test_drawings_have_the_numbers_of_their_files(tmp_path: Path) -> None:
    record = one(tmp_path, [data_record(sheet=6, drawing=9), data_record(sheet=2, drawing=3)])
    assert [(s.id, s.number, s.name) for s in record.sheets] == [
        (f"{PATENT}-D00002", 2, f"{PATENT}-D00002.png"), (f"{PATENT}-D00006", 6, f"{PATENT}-D00006.png"),
    ]  # fmt: skip
    assert [(d.sheet, d.number, d.figure) for d in record.drawings] == [(2, 3, "3"), (6, 9, "9")]


def test_drawings_without_numbers_in_their_files_are_numbered_in_the_order_of_figures(tmp_path: Path) -> None:
    records = [whole_sheet(n) for n in range(1, 12)]
    random.Random(1).shuffle(records)
    record = one(tmp_path, records)
    assert [(s.number, s.name) for s in record.sheets] == [(n, f"901-{n}.png") for n in range(1, 12)]
    assert [(d.sheet, d.number, d.figure, d.read) for d in record.drawings] == [
        (n, n, str(n), None) for n in range(1, 12)
    ]


def test_a_cut_drawing_has_its_own_image_and_its_box(tmp_path: Path) -> None:
    box = {"x_figure": 10, "y_figure": 20.4, "w_figure": 300, "h_figure": 200}
    (drawing,) = one(tmp_path, [data_record() | box]).drawings
    assert drawing.box == (10, 20, 300, 200)
    assert drawing.read is not None
    assert drawing.read() == (tmp_path / f"{PATENT}-D00001_1.png").read_bytes()


@pytest.mark.parametrize("box", [{"x_figure": -1}, {"w_figure": 0}, {"h_figure": "?"}, {"x_figure": True}, {}])
def test_a_box_that_makes_no_sense_is_left_out(tmp_path: Path, box: dict[str, object]) -> None:
    sides = {f"{side}_figure": 5 for side in "xywh"} if box else {}
    assert one(tmp_path, [data_record() | sides | box]).drawings[0].box is None


@pytest.mark.parametrize("missing", [
    "id", "patentdate", "figid", "caption", "object", "aspect", "figure_file", "subfigure_file", "object_title",
    "classification_locarno",
])  # fmt: skip
def test_any_value_may_be_missing(tmp_path: Path, missing: str) -> None:
    left_out: dict[str, Any] = {missing: None}
    record = one(tmp_path, [data_record(**left_out), data_record(drawing=2, sheet=2, **left_out)])
    assert record.granted == dt.date(2019, 1, 1)
    assert [(d.sheet, d.number) for d in record.drawings] == [(1, 1), (2, 2)]
    assert [f.number for f in record.figures] == ["1", "2"]
    assert record.figures[0].view == "front view"
    assert (record.figures[0].object or "").lower() == "pet treat"


def test_values_of_odd_types_do_not_matter(tmp_path: Path) -> None:
    odd: dict[str, Any] = {
        "figid": 3,
        "caption": ["x"],
        "object": {"a": 1},
        "aspect": True,
        "keywords": ["a", 1, {}, "b\0\ud800"],
    }
    record = one(tmp_path, [data_record(**odd)])
    assert [f.number for f in record.figures] == ["3"]
    assert record.extra["keywords"] == ["a", "1", "b?"]


def test_a_repeated_record_counts_once(tmp_path: Path) -> None:
    record = one(tmp_path, [data_record(), data_record(id="again"), data_record(drawing=2)])
    assert [d.number for d in record.drawings] == [1, 2]


def test_front_pages_are_kept_and_are_no_drawings(tmp_path: Path) -> None:
    record = one(tmp_path, [data_record(sheet=0, drawing=1), data_record(sheet=1, drawing=2)])
    assert [(s.number, s.role) for s in record.sheets] == [(0, "front_page"), (1, "drawings")]
    assert [d.number for d in record.drawings] == [2]


# ---- JSON ------------------------------------------------------------------------------------------------


def scattered() -> list[dict[str, Any]]:
    """Records of three patents, none of whose records are together."""
    return [data_record(f"USD000000{p}-20190101", drawing=n) for n in (1, 2, 3) for p in (3, 1, 2)]


@pytest.mark.parametrize("written", [as_json, as_lines, lambda r: "\ufeff" + as_lines(r), lambda r: "\n " + as_json(r)])
def test_arrays_and_lines_read_the_same_and_patents_are_put_together(tmp_path: Path, written: Any) -> None:
    records = scattered()
    write(tmp_path, {"data": written(records), **images(records)})
    found = [item for item in found_in(tmp_path / "data") if isinstance(item, PatentRecord)]
    assert [item.id for item in found] == ["USD0000003", "USD0000001", "USD0000002"]
    assert [[d.number for d in item.drawings] for item in found] == [[1, 2, 3]] * 3


def test_objects_over_several_lines_are_read(tmp_path: Path) -> None:
    text = json.dumps({"patentID": "LD1-20000101", "caption": "Fig. 1 is a top view"}, indent=1)
    text += "\n" + text.replace("LD1", "LD2")
    assert ids_in(write(tmp_path, {"data.json": text}) / "data.json") == ["LD1", "LD2"]


def test_a_broken_line_costs_its_record_only(tmp_path: Path) -> None:
    lines = as_lines(scattered()).splitlines()
    lines[4] = lines[4][:40]
    path = write(tmp_path, {"data.jsonl": "\n".join(lines), **images(scattered())}) / "data.jsonl"
    found = found_in(path)
    assert found[0] == Rejected("data.jsonl, record 5", "bad-json", found[0].detail)  # type: ignore[union-attr]
    assert sum(len(item.drawings) for item in found if isinstance(item, PatentRecord)) == 8


def test_a_broken_array_gives_what_came_before(tmp_path: Path) -> None:
    records = [data_record(f"LD{n}-20000101") for n in range(100)]
    path = write(tmp_path, {"data.json": as_json(records)[:-2000], **images(records)}) / "data.json"
    assert 0 < len(ids_in(path)) < 100
    assert reasons_in(path) == ["bad-json"]


@pytest.mark.parametrize("value", [None, 7, "", "../etc", "a/b", "USD1 2", "x" * 200])
def test_records_without_a_usable_patent_id_are_set_aside(tmp_path: Path, value: object) -> None:
    records = [data_record(), {**data_record(drawing=2), "patentID": value}]
    write(tmp_path, {"data.json": as_json(records), **images(records)})
    assert reasons_in(tmp_path / "data.json") == ["bad-id"]
    assert len(only_record(tmp_path / "data.json").drawings) == 1


def test_values_that_are_no_records_are_set_aside(tmp_path: Path) -> None:
    text = as_json([data_record()])[:-1] + ', 3, null, ["x"]]'
    write(tmp_path, {"data.json": text, **images([data_record()])})
    assert reasons_in(tmp_path / "data.json") == ["bad-record"] * 3


@pytest.mark.parametrize("text", ["[]", "{}", '[{"DetectedText": "or"}]', "[1]", "[[[["])
def test_other_json_is_told(tmp_path: Path, text: str) -> None:
    reasons = reasons_in(write(tmp_path, {"data.json": text}) / "data.json")
    assert set(reasons) <= {"unknown-format", "bad-record", "bad-json"}
    assert reasons


def test_a_record_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    long = '{"patentID": "LD2-20000101", "caption": "' + "x" * 3_000_000
    for text in (f"[{as_lines([data_record()])}, {long}", as_lines([data_record()]) + long + '"}\n'):
        path = write(tmp_path, {"data.json": text}) / "data.json"
        assert "too-large" in reasons_in(path, limits=Limits(json_record=100_000))


def test_a_patent_of_endless_drawings_is_set_aside(tmp_path: Path) -> None:
    records = [data_record(drawing=n) for n in range(1, 20)] + [data_record("LD1-20000101")]
    path = write(tmp_path, {"data.json": as_json(records), **images(records)}) / "data.json"
    assert reasons_in(path, limits=Limits(package_files=10)) == ["too-many-files"]
    assert ids_in(path, limits=Limits(package_files=10)) == ["LD1"]


# ---- images ----------------------------------------------------------------------------------------------


def test_a_drawing_without_its_image_is_set_aside_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    records = [whole_sheet(n) for n in (1, 2, 3)]
    write(tmp_path, {"data.json": as_json(records), **images(records)})
    (tmp_path / "img/901-2.png").unlink()
    record, rejected = found_in(tmp_path / "data.json")
    assert isinstance(record, PatentRecord)
    assert [(d.sheet, d.number, d.figure) for d in record.drawings] == [(1, 1, "1"), (3, 3, "3")]
    assert isinstance(rejected, Rejected)
    assert (rejected.name, rejected.reason) == ("LD901-20000101/img/901-2.png", "missing-image")


def test_without_the_sheet_its_first_drawing_stands_for_it(tmp_path: Path) -> None:
    records = [data_record(drawing=1), data_record(drawing=2)]
    write(tmp_path, {"data.json": as_json(records), **images(records)})
    (tmp_path / f"{PATENT}-D00001.png").unlink()
    record = only_record(tmp_path / "data.json")
    assert record.sheets[0].read() == (tmp_path / f"{PATENT}-D00001_1.png").read_bytes()
    assert [d.number for d in record.drawings] == [1, 2]


def test_a_sheet_that_is_not_cut_is_one_drawing_and_nobody_guesses_its_figure(tmp_path: Path) -> None:
    records = [data_record(drawing=1), data_record(drawing=2), data_record(sheet=2, drawing=3)]
    write(tmp_path, {"data.json": as_json(records), **images(records)})
    for n, sheet in ((1, 1), (2, 1), (3, 2)):
        (tmp_path / f"{PATENT}-D0000{sheet}_{n}.png").unlink()
    record = only_record(tmp_path / "data.json")
    assert [(d.sheet, d.number, d.figure, d.read) for d in record.drawings] == [(1, 1, None, None), (2, 3, "3", None)]


def test_two_images_of_one_drawing_number_are_not_both_taken(tmp_path: Path) -> None:
    records = [data_record(sheet=1, drawing=1), data_record(sheet=2, drawing=1)]
    write(tmp_path, {"data.json": as_json(records), **images(records)})
    assert reasons_in(tmp_path / "data.json") == ["duplicate-drawing"]


def test_texts_alone_give_no_drawings_and_say_so_once(tmp_path: Path) -> None:
    path = write(tmp_path, {"data.json": as_json(scattered())}) / "data.json"
    assert reasons_in(path) == ["no-images"]
    assert [item.drawings for item in found_in(path) if isinstance(item, PatentRecord)] == [(), (), ()]


@pytest.mark.parametrize("place", ["", "images/", "2019/january/"])
def test_images_are_found_in_a_tar_or_folder_beside_the_json(tmp_path: Path, place: str) -> None:
    records = scattered()
    pictures = {place + name: data for name, data in images(records).items()}
    write(tmp_path / "folder", {"data.json": as_json(records), **pictures})
    write(tmp_path / "tar", {"data.json": as_json(records), "images.tar": tarred(pictures)})
    write(tmp_path / "both", {"a.tar": tarred({**pictures, "data.json": as_json(records).encode()})})
    for source in ("folder", "folder/data.json", "tar", "tar/data.json", "both", "both/a.tar"):
        found = found_in(tmp_path / source)
        assert [len(item.drawings) for item in found if isinstance(item, PatentRecord)] == [3, 3, 3]
        assert not [item for item in found if isinstance(item, Rejected)]


def test_images_may_be_given(tmp_path: Path) -> None:
    records = scattered()
    write(tmp_path, {"a/data.json": as_json(records), "b/images.tar": tarred(images(records)), "c/x.txt": "-"})
    write(tmp_path / "d", images(records))
    for place in ("b/images.tar", "b", "d"):
        found = found_in(tmp_path / "a/data.json", images=FileSource(tmp_path / place))
        assert [len(item.drawings) for item in found] == [3, 3, 3]  # type: ignore[union-attr]
    assert set(reasons_in(tmp_path / "a/data.json", images=FileSource(tmp_path / "c"))) == {"missing-image"}


def test_an_ambiguous_name_is_not_guessed(tmp_path: Path) -> None:
    name = data_record()["subfigure_file"]
    write(tmp_path, {"data.json": as_json([data_record()]), f"a/{name}": png(), f"b/{name}": png(1)})
    assert reasons_in(tmp_path / "data.json") == ["ambiguous-image"]


def test_an_image_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"secret.png": png(), "in/other.png": png()})
    record = data_record(figure_file="../secret.png", subfigure_file="../secret.png")
    path = write(tmp_path / "in", {"data.json": as_json([record])}) / "data.json"
    assert reasons_in(path) == ["unsafe-path"]
    assert only_record(path).drawings == ()


@pytest.mark.parametrize(
    ("name", "mode"), [("images.tar.gz", "w:gz"), ("images.tgz", "w:gz"), ("images.tar.xz", "w:xz")]
)
def test_a_compressed_tar_of_images_is_read_in_any_order(tmp_path: Path, name: str, mode: str) -> None:
    records = scattered()
    write(tmp_path / "beside", {"data.json": as_json(records), name: tarred(images(records), mode)})
    write(tmp_path / "in", {name: tarred({**images(records), "data.json": as_json(records).encode()}, mode)})
    write(tmp_path / "plain", {"data.json": as_json(records), **images(records)})
    assert pictures_in(tmp_path / "beside") == pictures_in(tmp_path / "in") == pictures_in(tmp_path / "plain")
    assert len(pictures_in(tmp_path / "in")) == 3


def test_a_compressed_tar_may_not_fill_the_disk(tmp_path: Path) -> None:
    records = scattered()
    write(tmp_path, {"data.json": as_json(records), "images.tar.gz": tarred(images(records), "w:gz")})
    found = found_in(tmp_path, limits=Limits(copied=1000))
    reasons = [item.reason for item in found if isinstance(item, Rejected)]
    assert reasons[0] == "too-large"
    assert set(reasons) == {"too-large", "missing-image"}
    assert sum(len(item.drawings) for item in found if isinstance(item, PatentRecord)) > 0


def test_a_zip_of_images_beside_the_json_is_no_package(tmp_path: Path) -> None:
    records = scattered()
    write(tmp_path, {"data.json": as_json(records), "images.zip": zipped(images(records)), "a.zip": zipped(package())})
    found = found_in(tmp_path)
    assert [len(item.drawings) for item in found if isinstance(item, PatentRecord)] == [3, 3, 3, 3]
    assert not [item for item in found if isinstance(item, Rejected)]


@pytest.mark.parametrize("packed", ["folders", "tars", "zips", "one tar"])
def test_years_of_sheets_and_of_drawings_of_one_name_are_told_apart(tmp_path: Path, packed: str) -> None:
    """A sheet with one drawing may have the drawing's name; the folder tells which of the two it is."""
    for year in (2007, 2008):
        patent = f"USD000{year}-{year}0101"
        record = data_record(patent, figure_file=f"{patent}-D00001.png", subfigure_file=f"{patent}-D00001_1.png")
        sheets = {f"Original/{year}/{patent}-D00001.png": png(1), f"Original/{year}/{patent}-D00001_1.png": png(9)}
        cuts = {f"Segmented/{year}/{patent}-D00001_1.png": png(2), f"Segmented/{year}/{patent}-D00001.png": png(8)}
        write(tmp_path, {f"design{year}.json": as_json([record])})
        if packed == "folders":
            write(tmp_path, {**sheets, **cuts})
        elif packed == "tars":
            kinds = {"Original": sheets, "Segmented": cuts}
            flat = {kind: {Path(name).name: data for name, data in files.items()} for kind, files in kinds.items()}
            write(tmp_path, {f"{kind}_{year}.tar.gz": tarred(files, "w:gz") for kind, files in flat.items()})
        elif packed == "zips":
            write(tmp_path, {f"Original_{year}.zip": zipped(sheets), f"Segmented_{year}.zip": zipped(cuts)})
        else:
            write(tmp_path, {f"images{year}.tar": tarred({**sheets, **cuts})})
    assert pictures_in(tmp_path) == {"USD0002007": [png(1), png(2)], "USD0002008": [png(1), png(2)]}


def test_a_tar_of_images_that_ends_early_gives_what_it_has(tmp_path: Path) -> None:
    records = [data_record(f"LD{n}-20000101") for n in range(20)]
    data = tarred(images(records))
    write(tmp_path, {"data.json": as_json(records), "images.tar": data[: len(data) // 3]})
    found = found_in(tmp_path / "data.json")
    reasons = {item.reason for item in found if isinstance(item, Rejected)}
    assert reasons == {"truncated-archive", "missing-image"}
    assert 0 < sum(len(item.drawings) for item in found if isinstance(item, PatentRecord)) < 20
