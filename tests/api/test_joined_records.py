"""Text joins pictures that came before or come later: whatever the order, the same rows are open at the end."""

import datetime as dt
import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from linework_api import worker
from linework_core.jobs import runner
from linework_core.tables import Citation, Drawing, Encoder, Figure, Patent, Sheet
from linework_office import Design, package, plan

SIZE = 0.2
Load = Callable[[Path], dict[str, Any]]
OWN = {"row_id", "patent_row", "sheet_row", "figure_row", "added_in", "removed_in", "job_id"}  # differ between runs


@pytest.fixture(scope="session")
def design() -> Design:
    """One with as many figures as sheets, so that drawings are linked."""
    return next(one for one in plan(designs=12, seed=5) if 1 < len(one.views) == len(one.sheets))


@pytest.fixture
def load(client: TestClient, encoder: Encoder) -> Iterator[Load]:
    """Ingest a file by the real job, and return the job when it has ended."""
    worker.decoder.cache_clear()

    def ingest(path: Path) -> dict[str, Any]:
        response = client.post("/ingest", json={"uri": path.as_uri()})
        runner.run_job(UUID(response.json()["id"]), worker._ingest)
        job: dict[str, Any] = client.get(response.headers["location"]).json()
        assert job["state"] == "succeeded", job
        return job

    yield ingest
    worker.decoder().close()
    worker.decoder.cache_clear()


@pytest.fixture
def sources(design: Design, tmp_path: Path) -> dict[str, Path]:
    """One patent as five sources tell it: packages and full texts, earlier and later, and a data set."""

    def produced(data: bytes, date: str) -> bytes:
        return data.replace(f'date-produced="{design.granted - dt.timedelta(days=15):%Y%m%d}"'.encode(), date.encode())

    later = 'date-produced="20300101"'
    corrected = package(replace(design, title="Corrected"), SIZE)
    return {
        "package": _write(tmp_path / f"{design.name}.ZIP", package(design, SIZE)),
        "text": _write(tmp_path / "ipg.xml", _xml_of(package(design, SIZE))),
        "later text": _write(tmp_path / "ipg2.xml", produced(_xml_of(corrected), later)),
        "later package": _write(tmp_path / "later.ZIP", _repacked(corrected, lambda xml: produced(xml, later))),
        "data set": _data_set(tmp_path / "set", design),
    }


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _xml_of(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return next(archive.read(name) for name in archive.namelist() if name.endswith(".XML"))


def _repacked(packed: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The package with another XML and its sheets in another form, so that they are other pictures."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name.endswith(".XML") else data + b"\0")
    return out.getvalue()


def _data_set(folder: Path, design: Design) -> Path:
    """DeepPatent2's record of each sheet, whose picture is the package's."""
    records = []
    with zipfile.ZipFile(io.BytesIO(package(design, SIZE))) as archive:
        for name in archive.namelist():
            if name.endswith(".TIF") and not name.endswith("D00000.TIF"):
                file = Path(name).name
                _write(folder / file, archive.read(name))
                number = int(file[-9:-4])
                caption = {
                    "figid": str(number),
                    "caption": f"FIG. {number} is a view of a thing",
                    "object_title": "Thing",
                }
                records.append({"patentID": design.name, "figure_file": file, **caption})
    return _write(folder / "data.json", json.dumps(records).encode())


def open_rows(session: Session, patent_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that is true of a patent now, by its own words: rows refer to one another by what they are."""
    session.rollback()
    patent = session.scalars(select(Patent).where(Patent.patent_id == patent_id, Patent.removed_in.is_(None))).one()
    found: dict[str, list[dict[str, Any]]] = {"patents": [_facts(patent)]}
    for table in (Sheet, Figure, Citation, Drawing):
        rows = session.scalars(select(table).where(table.patent_row == patent.row_id).order_by(table.row_id)).all()
        found[table.__tablename__] = [_facts(row) for row in rows]
    links = select(Drawing.drawing_id, Sheet.sheet_id, Figure.number).join(Sheet, Sheet.row_id == Drawing.sheet_row)
    links = links.outerjoin(Figure, Figure.row_id == Drawing.figure_row).where(Drawing.patent_row == patent.row_id)
    found["links"] = [row._asdict() for row in session.execute(links.order_by(Drawing.drawing_id))]
    return found


def _facts(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key not in OWN}


def start_anew(session: Session) -> None:
    session.rollback()
    session.execute(text("TRUNCATE patents, sheets, figures, citations, drawings, set_aside CASCADE"))
    session.commit()


def ends(load: Load, session: Session, design: Design, sources: dict[str, Path], names: list[str]) -> list[Any]:
    """What is open after each order of some sources."""
    found = []
    for order in itertools.permutations(names):
        start_anew(session)
        for name in order:
            load(sources[name])
        found.append(open_rows(session, design.id))
    return found


@pytest.mark.parametrize(
    ("names", "title", "pictures"),
    [
        ("text, package", None, "uspto"),
        ("later text, package", "Corrected", "uspto"),
        ("text, later text", "Corrected", None),
        ("text, data set", None, "deeppatent2"),
        ("package, data set", None, "uspto"),
        ("package, later package", "Corrected", "uspto"),
        ("data set, text, package", None, "uspto"),
    ],
)
def test_the_order_of_sources_does_not_matter(
    load: Load,
    session: Session,
    design: Design,
    sources: dict[str, Path],
    names: str,
    title: str | None,
    pictures: str | None,
) -> None:
    first, *others = ends(load, session, design, sources, names.split(", "))
    assert all(other == first for other in others)
    (patent,) = first["patents"]
    assert patent["title"] == (title or design.title)
    assert patent["source"] == "uspto"
    assert patent["provenance"].get("pictures", {}).get("source") == pictures
    assert len(first["drawings"]) == (len(design.sheets) if pictures else 0)
    assert all(link["number"] for link in first["links"])


def test_the_joined_patent_is_that_of_its_package(
    load: Load, session: Session, design: Design, sources: dict[str, Path]
) -> None:
    load(sources["package"])
    alone = open_rows(session, design.id)
    start_anew(session)
    load(sources["text"])
    load(sources["package"])
    assert open_rows(session, design.id) == alone


def test_sources_that_are_written_together_count_one_after_the_other(
    load: Load, session: Session, design: Design, sources: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "together"
    names = ["text", "package", "later text", "later package"]
    files = [_write(folder / f"{number}{sources[name].suffix}", sources[name].read_bytes())
             for number, name in enumerate(names)]  # fmt: skip
    for file in files:
        load(file)
    versions, one_by_one = select(func.count()).select_from(Patent), open_rows(session, design.id)
    assert session.scalar(versions) == len(names)
    start_anew(session)
    assert load(folder)["progress"]["done"] == len(names)
    assert open_rows(session, design.id) == one_by_one
    assert session.scalar(versions) == len(names)


def test_sources_that_are_read_again_change_nothing(
    load: Load, session: Session, design: Design, sources: dict[str, Path]
) -> None:
    names = ["data set", "text", "package", "later text"]
    for name in names:
        load(sources[name])
    before = open_rows(session, design.id)
    versions = session.scalar(select(func.count()).select_from(Patent))
    for name in names:
        assert load(sources[name])["progress"]["done"] == 0
    assert open_rows(session, design.id) == before
    assert session.scalar(select(func.count()).select_from(Patent)) == versions


def test_a_text_replaces_no_row_but_closes_it(
    load: Load, session: Session, design: Design, sources: dict[str, Path]
) -> None:
    load(sources["package"])
    load(sources["later text"])
    versions = session.scalars(select(Patent).order_by(Patent.row_id)).all()
    assert [version.title for version in versions] == [design.title, "Corrected"]
    assert versions[0].removed_in == versions[1].added_in
    drawings = select(func.count()).select_from(Drawing)
    assert session.scalar(drawings.where(Drawing.removed_in.is_(None))) == len(design.sheets)
    assert session.scalar(drawings) == 2 * len(design.sheets)


def test_a_version_of_before_parts_were_told_apart_is_corrected_as_ever(
    load: Load, session: Session, design: Design, sources: dict[str, Path]
) -> None:
    load(sources["package"])
    session.execute(text("UPDATE patents SET provenance = '{}'"))
    session.commit()
    assert load(sources["data set"])["result"] == {"records": 1, "full-text-known": 1}
    assert load(sources["later text"])["progress"]["done"] == 1
    assert open_rows(session, design.id)["patents"][0]["title"] == "Corrected"
    assert len(open_rows(session, design.id)["drawings"]) == len(design.sheets)
