"""Tables of patents: IMPACT's CSV, and the plain one of a register that has nothing better."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import obstore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from linework_api.ingest.formats import Limits, read
from linework_api.ingest.sources import in_store
from linework_core.records import PatentRecord, Rejected
from tests.ingest.building import (
    found_in,
    ids_in,
    only_record,
    package,
    png,
    reasons_in,
    records_in,
    tarred,
    tiff,
    write,
    zipped,
)

PLAIN = {
    "id": "EM000123456",
    "date": "2019-03-05",
    "class": "14-02",
    "title": "Lamp",
    "caption": "Front view of a lamp",
}
PACKED = {"tar": tarred, "tar.gz": lambda files: tarred(files, "w:gz"), "zip": zipped}


def table(rows: Iterable[Mapping[str, object]], delimiter: str = ",") -> str:
    """Rows as the csv module writes them."""
    several = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(several[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(several)
    return out.getvalue()


def impact(number: str = "D0937859", sheets: int = 3, **values: object) -> dict[str, object]:
    """A row of IMPACT, with its columns in their order."""
    row = {
        "title": "Display screen",
        "id": number,
        "claim": "I claim the ornamental design for a display screen, as shown and described.",
        "date": "20211207",
        "class": "D14486,D14487",
        "class_search": str(["1404", "D14486", "D14485-495"]),
        "inv_country": "CN",
        "no_figs": 2,
        "sheets": sheets - 1,
        "file_names": str([f"US{number}-20211207-D{n:05d}.TIF" for n in range(sheets)]),
        "fig_desc": str(
            ["FIG. 1 is a front view of a display screen, with a 'hand';", "FIG. 2 is a rear view thereof."]
        ),
        "caption": " The image is a square.",
    }
    return row | values


def images(row: Mapping[str, Any], folder: str = "") -> dict[str, bytes]:
    names: list[str] = eval(row["file_names"], {})
    return {folder + name: tiff(n) for n, name in enumerate(names)}


# ---- IMPACT ----------------------------------------------------------------------------------------------


def test_a_patent_of_impact_is_read(tmp_path: Path) -> None:
    row = impact()
    record = only_record(write(tmp_path, {"2021.csv": table([row]), **images(row, "2021/USD0937859-20211207/")}))
    assert (record.source, record.id, record.office, record.number) == ("impact", "USD0937859", "US", "D937859")
    assert (record.granted, record.filed, record.priority) == (dt.date(2021, 12, 7), None, None)
    assert (record.title, record.locarno, record.claim) == ("Display screen", "14-04", row["claim"])
    assert [(f.number, f.view, f.object) for f in record.figures] == [
        ("1", "front view", "display screen"), ("2", "rear view", "display screen"),
    ]  # fmt: skip
    assert [(s.id, s.role) for s in record.sheets] == [
        ("USD0937859-20211207-D00000", "front_page"),
        ("USD0937859-20211207-D00001", "drawings"),
        ("USD0937859-20211207-D00002", "drawings"),
    ]
    assert [(d.sheet, d.number, d.figure) for d in record.drawings] == [(1, 1, "1"), (2, 2, "2")]
    assert record.extra == {
        "classification_national": "D14486,D14487", "stated_sheets": 2, "stated_figures": 2,
        "generated_caption": "The image is a square.",
    }  # fmt: skip


def test_its_sheets_and_figures_are_those_of_the_patents_own_package(tmp_path: Path) -> None:
    own = only_record(write(tmp_path / "own", {"a.zip": zipped(package("D0907292", "20210105"))}))
    captions = [f"{figure.caption};" for figure in own.figures]
    row = impact("D0907292", 4, date="20210105", fig_desc=str(captions), file_names=str([s.name for s in own.sheets]))
    read = only_record(write(tmp_path / "impact", {"2021.csv": table([row]), **images(row)}))
    assert read.sheets == own.sheets
    assert read.drawings == own.drawings
    assert read.figures == own.figures
    assert read.id == own.id


@pytest.mark.parametrize(
    ("changed", "granted", "locarno"),
    [
        ({"date": ""}, dt.date(2021, 12, 7), "14-04"),  # the files' names tell
        ({"class_search": "['D14486', '1404']"}, dt.date(2021, 12, 7), None),  # a patent without a Locarno class
        ({"class_search": ""}, dt.date(2021, 12, 7), None),
    ],
)
def test_what_a_row_of_impact_lacks_is_not_made_up(
    tmp_path: Path, changed: dict[str, str], granted: dt.date, locarno: str | None
) -> None:
    row = impact(**changed)
    record = only_record(write(tmp_path, {"2021.csv": table([row]), **images(row)}))
    assert (record.granted, record.locarno) == (granted, locarno)


def test_a_row_of_impact_that_is_broken_costs_itself_only(tmp_path: Path) -> None:
    rows = [impact("D0000001"), impact("D0000002", file_names="['a"), impact("x"), impact("D0000004", fig_desc="[1]")]
    path = write(tmp_path, {"2021.csv": table(rows), **images(rows[0])}) / "2021.csv"
    assert reasons_in(path) == ["bad-record", "bad-id", "bad-record"]
    assert ids_in(path) == ["USD0000001"]


def test_years_beside_one_another_are_kept_apart(tmp_path: Path) -> None:
    rows = {year: impact(f"D000{year}") for year in (2020, 2021)}
    tables = {f"{year}.csv": table([row]) for year, row in rows.items()}
    zips = {f"{year}.zip": zipped(images(row, f"{year}/")) for year, row in rows.items()}
    found = found_in(write(tmp_path, {**tables, **zips}))
    assert [len(item.sheets) for item in found if isinstance(item, PatentRecord)] == [3, 3]
    assert not [item for item in found if isinstance(item, Rejected)]


# ---- plain tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_row_is_a_patent_and_its_images_bear_its_id(tmp_path: Path, delimiter: str, mark: str) -> None:
    names = ["EM000123456.png", "EM000123456_2.png", "EM000123456-10.png", "EM000123456/x.png", "EM0001234567.png"]
    files = {f"images/{name}": png(n) for n, name in enumerate(names)}
    record = only_record(write(tmp_path, {"register.csv": mark + table([PLAIN], delimiter), **files}))
    assert (record.source, record.id, record.office, record.number) == ("csv", "EM000123456", "EM", "000123456")
    assert (record.granted, record.locarno, record.title) == (dt.date(2019, 3, 5), "14-02", "Lamp")
    assert [(f.number, f.view, f.object) for f in record.figures] == [("1", "Front view", "lamp")]
    assert [sheet.name.rpartition("/")[2] for sheet in record.sheets] == [names[0], "x.png", names[1], names[2]]
    assert [sheet.id for sheet in record.sheets] == [f"EM000123456-20190305-D0000{n}" for n in (1, 2, 3, 4)]
    assert [drawing.figure for drawing in record.drawings] == [None] * 4  # one caption, four images: nobody guesses


def test_an_image_with_another_patents_id_is_not_anothers_second(tmp_path: Path) -> None:
    rows = [PLAIN | {"id": "7"}, PLAIN | {"id": "7-1"}]
    files = {"7.png": png(), "7-1.png": png(1), "7-2.png": png(2)}
    found = records_in(write(tmp_path, {"register.csv": table(rows), **files}))
    assert [[sheet.name for sheet in record.sheets] for record in found] == [["7.png", "7-2.png"], ["7-1.png"]]


def test_a_row_that_names_its_image_is_a_drawing(tmp_path: Path) -> None:
    rows = [
        PLAIN | {"image": f"img/{n}.png", "caption": f"Fig. {n} is a {view} view of a lamp"}
        for n, view in ((10, "rear"), (9, "front"))
    ]
    record = only_record(write(tmp_path, {"register.csv": table(rows), "img/9.png": png(), "img/10.png": png(1)}))
    assert (record.source, record.id, record.granted) == ("csv", "EM000123456", dt.date(2019, 3, 5))
    assert [(sheet.name, sheet.id) for sheet in record.sheets] == [
        ("9.png", "EM000123456-20190305-D00001"), ("10.png", "EM000123456-20190305-D00002"),
    ]  # fmt: skip
    figures = {figure.number: figure.view for figure in record.figures}
    assert [figures[drawing.figure or ""] for drawing in record.drawings] == ["front view", "rear view"]


def test_headers_may_be_written_otherwise(tmp_path: Path) -> None:
    text = "Number;Granted;Locarno; TITLE ;remarks\nX1;20190305;1402;Lamp;-\n"
    record = only_record(write(tmp_path, {"register.txt": text, "X1.png": png()}))
    assert (record.id, record.granted, record.locarno, record.title) == ("X1", dt.date(2019, 3, 5), "14-02", "Lamp")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": "DM/214531"}, "bad-id"),
        ({"id": ""}, "bad-id"),
        ({"id": "x" * 65}, "bad-id"),
        ({"date": "05.03.2019"}, "bad-record"),
        ({"date": "2019-02-30"}, "bad-record"),
    ],
)
def test_a_row_that_cannot_be_understood_is_set_aside_with_what_to_do(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    path = write(tmp_path, {"r.csv": table([PLAIN | changed, PLAIN]), "EM000123456.png": png()}) / "r.csv"
    (rejected,) = (item for item in found_in(path) if isinstance(item, Rejected))
    assert (rejected.name, rejected.reason) == ("r.csv, record 1", reason)
    assert ids_in(path) == ["EM000123456"]


def test_broken_lines_cost_their_rows_only(tmp_path: Path) -> None:
    lines = table([PLAIN | {"id": f"X{n}"} for n in range(6)]).encode().split(b"\r\n")
    lines[2] = lines[2].replace(b"Lamp", b"L\xe4mpchen")
    lines[4] = lines[4] + b",more"
    path = write(tmp_path, {"r.csv": b"\r\n".join(lines), "X.png": png()}) / "r.csv"
    found = [item for item in found_in(path) if isinstance(item, Rejected)]
    assert [(item.name, item.reason) for item in found] == [
        ("r.csv, record 2", "bad-record"),
        ("r.csv, record 4", "bad-record"),
    ]
    assert "UTF-8" in found[0].detail
    assert ids_in(path) == ["X0", "X2", "X4", "X5"]


def test_a_quotation_mark_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    text = table([PLAIN]) + '"' + "x" * 3_000_000 + "\n" + table([PLAIN | {"id": "X2"}]).splitlines()[1]
    path = write(tmp_path, {"r.csv": text, "X2.png": png()}) / "r.csv"
    assert "bad-record" in reasons_in(path, limits=Limits(json_record=100_000))
    assert ids_in(path, limits=Limits(json_record=100_000))[0] == "EM000123456"


@pytest.mark.parametrize("where", ["in", "beside"])
@pytest.mark.parametrize("kind", PACKED)
def test_images_are_found_in_archives(tmp_path: Path, where: str, kind: str) -> None:
    rows = [PLAIN | {"id": f"X{n}"} for n in range(5)]
    files = {f"images/X{n}.png": png(n) for n in range(5)}
    records = {"register.csv": table(rows).encode()}
    if where == "in":
        write(tmp_path, {f"all.{kind}": PACKED[kind](files | records)})
    else:
        write(tmp_path, {f"images.{kind}": PACKED[kind](files), **records})
    found = found_in(tmp_path)
    assert [(item.id, len(item.drawings)) for item in found if isinstance(item, PatentRecord)] == [
        (f"X{n}", 1) for n in range(5)
    ]
    assert not [item for item in found if isinstance(item, Rejected)]


def test_without_images_the_texts_are_taken_alone(tmp_path: Path) -> None:
    path = write(tmp_path, {"r.csv": table([PLAIN])}) / "r.csv"
    assert reasons_in(path) == ["no-images"]
    assert only_record(path).figures


@pytest.mark.parametrize("text", ["id\n1\n", "id,date\n1,2\n", "a,b\n1,2\n", "name,title,date,class\n"])
def test_other_tables_are_no_data_sets(tmp_path: Path, text: str) -> None:
    assert reasons_in(write(tmp_path, {"x.csv": text}) / "x.csv") == ["unknown-format"]
    assert ids_in(write(tmp_path / "f", {"x.csv": text, "a.zip": zipped(package())})) == ["USD0907292"]


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(
    st.lists(st.fixed_dictionaries({"title": cells, "caption": cells}), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
)
@settings(max_examples=60, deadline=None)
def test_every_row_that_the_csv_module_writes_is_read(rows: list[dict[str, str]], delimiter: str) -> None:

    store = MemoryStore()
    text = table([{"id": f"X{n}", "class": "-", **row} for n, row in enumerate(rows)], delimiter)
    obstore.put(store, "r.csv", text.encode())
    found = {item.id: item for item in read(in_store(store, "r.csv", "r.csv")) if isinstance(item, PatentRecord)}
    assert [found[f"X{n}"].title or "" for n in range(len(rows))] == [" ".join(row["title"].split()) for row in rows]
