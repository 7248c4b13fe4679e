"""From a package to rows: versions, corrections, withdrawals, and what is set aside."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api import worker
from linework_api.ingest import runner as runner_of_ingest
from linework_api.ingest.formats import read_on
from linework_api.removals.__main__ import main as removals
from linework_core.jobs import runner
from linework_core.records import PatentRecord
from linework_core.tables import Citation, Drawing, Embedding, Encoder, Figure, Package, Patent, SetAside, Sheet
from linework_office import Design, package, plan, write_folder, write_package, write_weeks
from tests.api.conftest import DIMENSION, change, count, long_ago, problem_of

Load = Callable[..., dict[str, Any]]
AS_JSON = {"Content-Type": "application/json"}
SIZE = 0.2  # of the sheets, so that drawing them takes no time


@pytest.fixture(scope="session")
def designs() -> list[Design]:
    """The first ones have one figure on each sheet, so they have as many drawings as sheets."""
    return sorted(plan(designs=8, seed=5), key=lambda design: max(design.sheets) > 1)


@pytest.fixture
def load(client: TestClient, encoder: Encoder) -> Iterator[Load]:
    """Ingest a file by upload, or a folder by URI, and return the job when it has ended."""
    worker.decoder.cache_clear()

    def ingest(path: Path) -> dict[str, Any]:
        if path.is_dir():
            response = client.post("/ingest", json={"uri": path.as_uri()})
        else:
            response = client.post("/ingest", files={"file": (path.name, path.read_bytes())})
        return finish(response)

    def finish(response: Any) -> dict[str, Any]:
        assert response.status_code == 202, response.text
        job_id = response.json()["id"]
        assert response.headers["location"] == f"/jobs/{job_id}"
        return run(job_id)

    def run(job_id: str) -> dict[str, Any]:
        runner.run_job(UUID(job_id), worker._ingest)
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        return job

    ingest.finish, ingest.again = finish, run  # type: ignore[attr-defined]
    yield ingest
    worker.decoder().close()
    worker.decoder.cache_clear()


def test_a_weekly_tar_is_read_to_its_end(load: Load, client: TestClient, designs: list[Design], tmp_path: Path) -> None:
    (tar,) = write_weeks(tmp_path, [replace(design, granted=designs[0].granted) for design in designs[:3]], size=SIZE)
    job = load(tar)
    assert (job["state"], job["progress"]) == ("succeeded", {"total": 3, "done": 3, "skipped": 0, "failed": 0})
    assert client.get("/corpus").json()["weeks"] == [str(designs[0].granted)]


def test_the_front_page_is_kept_and_not_searched(
    load: Load, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    design = designs[0]
    load(write_package(tmp_path, design, size=SIZE))
    assert count(session, Sheet, Sheet.role == "front_page") == 1
    assert count(session, Sheet) == len(design.sheets) + 1
    assert count(session, Drawing) == len(design.sheets)
    assert count(session, Drawing, Drawing.drawing_id.like("%-D00000%")) == 0
    first = session.scalars(select(Drawing).order_by(Drawing.number)).first()
    assert first is not None
    assert first.drawing_id == f"{design.name}-D00001_1"


def test_a_patent_reads_as_it_was_published(
    load: Load, client: TestClient, designs: list[Design], tmp_path: Path
) -> None:
    for design in designs:
        load(write_package(tmp_path, design, size=SIZE))
        patent = client.get(f"/patents/{design.id}").json()
        assert patent["title"] == design.title
        assert patent["granted"] == str(design.granted)
        assert patent["filed"] == str(design.filed)
        assert len(patent["figures"]) == len(design.views)
        assert len(patent["citations"]) == sum(not citation.text for citation in design.citations)
        drawing = client.get(f"/drawings/{patent['drawings'][0]}").json()
        assert drawing["figure"]["label"] == design.labels[0]
        assert drawing["candidates"] == []


def test_loading_twice_changes_nothing(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    path = write_package(tmp_path, designs[0], size=SIZE)
    load(path)
    before = client.get("/corpus").json()
    job = load(path)
    assert job["progress"] == {"total": 1, "done": 0, "skipped": 1, "failed": 0}
    assert job["result"] == {"records": 1, "unchanged": 1}
    assert client.get("/corpus").json() == before
    unpacked = load(write_folder(tmp_path / "unpacked", designs[0], size=SIZE).parent)
    assert unpacked["result"] == {"records": 1, "unchanged": 1}


def embed_all(session: Session, encoder: Encoder) -> None:
    """Give each open drawing a vector, as the embedder would."""
    for drawing in session.scalars(select(Drawing).where(Drawing.removed_in.is_(None))).all():
        copied = ("patent_id", "office", "granted", "filed", "priority", "locarno", "view", "drawing_id", "derivative")
        facts = {name: getattr(drawing, name) for name in copied}
        vector = [1.0, *[0.0] * (DIMENSION - 1)]
        row = {"encoder": encoder.number, "drawing_row": drawing.row_id, "vector": vector, "added_in": 1}
        session.add(Embedding(**facts, **row))
    session.commit()


def test_a_corrected_package_closes_the_old_version_and_keeps_its_vectors(
    load: Load, session: Session, encoder: Encoder, designs: list[Design], tmp_path: Path
) -> None:
    design = designs[0]
    load(write_package(tmp_path, design, size=SIZE))
    embed_all(session, encoder)
    job = load(write_package(tmp_path, replace(design, title="Corrected title"), size=SIZE))
    assert job["result"] == {"records": 1, "corrected": 1}
    versions = session.scalars(select(Patent).order_by(Patent.row_id)).all()
    assert [version.title for version in versions] == [design.title, "Corrected title"]
    assert versions[0].removed_in == versions[1].added_in
    assert versions[1].removed_in is None
    sheets = len(design.sheets)
    assert count(session, Drawing) == 2 * sheets
    assert count(session, Embedding, Embedding.removed_in == versions[0].removed_in) == sheets
    assert count(session, Embedding, Embedding.removed_in.is_(None)) == sheets


def test_a_withdrawn_patent_stays_withdrawn_until_it_is_restored(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    path = write_package(tmp_path, designs[0], size=SIZE)
    load(path)
    withdrawn = load.finish(client.delete(f"/patents/{designs[0].id}"))  # type: ignore[attr-defined]
    assert withdrawn["result"]["withdrawn"] == designs[0].id
    assert client.get(f"/patents/{designs[0].id}").status_code == 404
    assert count(session, Drawing, Drawing.removed_in.is_(None)) == 0
    assert load(path)["result"] == {"records": 1, "withdrawn": 1}
    corrected = write_package(tmp_path, replace(designs[0], title="Corrected"), size=SIZE)
    assert load(corrected)["result"] == {"records": 1, "withdrawn": 1}
    assert client.get(f"/patents/{designs[0].id}").status_code == 404
    upload = {"file": (corrected.name, corrected.read_bytes())}
    restored = load.finish(client.post("/ingest?restore=true", files=upload))  # type: ignore[attr-defined]
    assert restored["result"] == {"records": 1, "added": 1}
    assert client.get(f"/patents/{designs[0].id}").json()["title"] == "Corrected"
    load.finish(client.delete(f"/patents/{designs[0].id}"))  # type: ignore[attr-defined]
    by_uri = client.post("/ingest", json={"uri": corrected.as_uri(), "restore": True})
    assert load.finish(by_uri)["result"] == {"records": 1, "added": 1}  # type: ignore[attr-defined]


def test_an_erased_patent_leaves_no_picture_and_is_not_loaded_again_until_an_admin_lifts_that(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    folder, erased = tmp_path / "packages", designs[0].id
    folder.mkdir()
    for design in designs[:2]:
        write_package(folder, design, size=SIZE)
    load(folder)
    before = pictures(tmp_path)
    asked = client.post(f"/patents/{erased}/erase", json={"confirm": erased, "reason": "a court's order"})
    assert load.finish(asked)["state"] == "succeeded"  # type: ignore[attr-defined]
    left = pictures(tmp_path)
    rows = session.execute(select(Drawing.original, Drawing.derivative)).all()
    shown = {name for row in rows for name in (row.original, f"{row.derivative}.png")}
    assert left == shown | set(session.scalars(select(Sheet.original)))
    assert left < before
    job = load(folder)
    assert job["result"] == {"records": 2, "unchanged": 1, "set aside: erased": 1}
    assert pictures(tmp_path) == left
    assert client.delete(f"/patents/{erased}/erasure").status_code == 204
    assert load(folder)["result"] == {"records": 2, "added": 1, "unchanged": 1}
    assert client.get(f"/patents/{erased}").status_code == 200
    assert pictures(tmp_path) == before


def test_a_picture_that_an_erasure_deletes_while_another_patent_is_loaded_with_it_is_stored_again(
    load: Load, session: Session, designs: list[Design], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    erased, copy = designs[0], replace(designs[0], number=designs[0].number + 1)
    load(write_package(tmp_path, erased, size=SIZE))
    shared = session.scalars(select(Drawing.original)).all()
    prepare = runner_of_ingest.Ingest._prepare

    def erase_first(self: runner_of_ingest.Ingest, pending: Any) -> Any:
        monkeypatch.setattr(runner_of_ingest.Ingest, "_prepare", prepare)
        prepared = prepare(self, pending)
        assert removals(["erase", erased.id, "--confirm", erased.id, "--reason", "a court's order"]) == 0
        return prepared

    monkeypatch.setattr(runner_of_ingest.Ingest, "_prepare", erase_first)
    job = load(write_package(tmp_path, copy, size=SIZE))
    assert (job["state"], count(session, Patent)) == ("queued", 0)
    change(session, UUID(job["id"]), not_before=long_ago())
    job = load.again(job["id"])  # type: ignore[attr-defined]
    assert (job["state"], job["result"]["added"]) == ("succeeded", 1)
    rows = session.execute(select(Drawing.original, Drawing.derivative)).all()
    assert [row.original for row in rows] == shared
    shown = {name for row in rows for name in (row.original, f"{row.derivative}.png")}
    assert pictures(tmp_path) == shown | set(session.scalars(select(Sheet.original)))


def pictures(tmp_path: Path) -> set[str]:
    """Names of the originals and derivatives in the object store."""
    kinds = ("originals", "derivatives")
    return {path.name for kind in kinds for path in (tmp_path / "objects" / kind).rglob("*") if path.is_file()}


def rewritten(design: Design, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """A package in which a file was changed, or (None) left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package(design, SIZE))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return out.getvalue()


def test_text_alone_corrects_the_facts_and_keeps_the_drawings(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    design = next(design for design in designs if len(design.views) == len(design.sheets))
    load(write_package(tmp_path, design, size=SIZE))
    drawings = client.get(f"/patents/{design.id}").json()["drawings"]
    text_only = tmp_path / "text.ZIP"
    corrected = replace(design, title="Corrected title")
    text_only.write_bytes(rewritten(corrected, lambda name, data: None if name.endswith(".TIF") else data))
    assert load(text_only)["progress"]["done"] == 1
    patent = client.get(f"/patents/{design.id}").json()
    assert patent["title"] == "Corrected title"
    assert patent["drawings"] == drawings
    assert client.get(f"/drawings/{drawings[0]}").json()["figure"] is not None


def test_a_truncated_sheet_is_set_aside_and_the_rest_goes_on(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    design = designs[0]
    damaged = tmp_path / "damaged.ZIP"
    damaged.write_bytes(rewritten(design, lambda name, data: data[:200] if name.endswith("D00001.TIF") else data))
    job = load(damaged)
    assert job["state"] == "succeeded"
    assert job["progress"]["failed"] == 1
    assert count(session, Drawing) == len(design.sheets) - 1
    assert client.get("/corpus").json()["set_aside"] == {"unreadable-image": 1}
    whole = load(write_package(tmp_path, design, size=SIZE))
    assert whole["result"] == {"records": 1, "corrected": 1}
    assert count(session, Drawing, Drawing.removed_in.is_(None)) == len(design.sheets)


def test_a_damaged_package_never_replaces_a_whole_one(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    design = designs[0]
    load(write_package(tmp_path, design, size=SIZE))
    damaged = tmp_path / "damaged.ZIP"
    damaged.write_bytes(rewritten(design, lambda name, data: data[:200] if name.endswith("D00001.TIF") else data))
    load(damaged)
    assert count(session, Drawing, Drawing.removed_in.is_(None)) == len(design.sheets)
    assert count(session, Patent) == 1


def test_one_broken_package_in_a_week_is_set_aside_with_its_reason(
    load: Load, client: TestClient, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    folder = tmp_path / "week"
    folder.mkdir()
    for design in designs[:2]:
        write_package(folder, design, size=SIZE)
    (folder / f"{designs[2].name}.ZIP").write_bytes(
        rewritten(designs[2], lambda name, data: data[:500] if name.endswith(".XML") else data)
    )
    job = load(folder)
    assert job["progress"] == {"total": 3, "done": 2, "skipped": 0, "failed": 1}
    aside = session.scalars(select(SetAside)).one()
    assert designs[2].name in aside.record
    assert aside.detail


def test_a_source_of_which_nothing_can_be_read_fails_the_job_and_says_why(
    load: Load, client: TestClient, tmp_path: Path
) -> None:
    nonsense = tmp_path / "notes.txt"
    nonsense.write_bytes(b"no package at all")
    job = load(nonsense)
    assert (job["state"], job["progress"]) == ("failed", {"total": 1, "done": 0, "skipped": 0, "failed": 1})
    assert job["error"]["type"] == "unreadable-source"
    assert "unknown-format" in job["error"]["detail"]
    assert job["result"] == {"records": 1, "set aside: unknown-format": 1}
    assert client.get("/corpus").json()["set_aside"] == {"unknown-format": 1}


def test_an_empty_file_with_a_packages_name_is_a_failure_among_what_is_read(
    load: Load, session: Session, designs: list[Design], tmp_path: Path
) -> None:
    folder = tmp_path / "week"
    folder.mkdir()
    write_package(folder, designs[0], size=SIZE)
    (folder / "USD9999999-20210105.ZIP").touch()
    job = load(folder)
    assert (job["state"], job["progress"]) == ("succeeded", {"total": 2, "done": 1, "skipped": 0, "failed": 1})
    assert session.scalars(select(SetAside.record)).all() == ["USD9999999-20210105.ZIP"]


def test_a_text_that_the_database_refuses_costs_its_own_record_only(
    load: Load, client: TestClient, monkeypatch: pytest.MonkeyPatch, designs: list[Design], tmp_path: Path
) -> None:
    def reader_that_lets_everything_through(*args: Any, **options: Any) -> Iterator[Any]:
        refused = {f"{designs[1].id}": "a\0b", f"{designs[2].id}": "half of a pair \ud83e"}
        for found in read_on(*args, **options):
            yield replace(found, title=refused.get(found.id, found.title)) if isinstance(found, PatentRecord) else found

    monkeypatch.setattr(runner_of_ingest, "read_on", reader_that_lets_everything_through)
    folder = tmp_path / "packages"
    folder.mkdir()
    for design in designs[:4]:
        write_package(folder, design, size=SIZE)
    job = load(folder)
    assert (job["state"], job["progress"]) == ("succeeded", {"total": 4, "done": 2, "skipped": 0, "failed": 2})
    statuses = [client.get(f"/patents/{design.id}").status_code for design in designs[:4]]
    assert statuses == [200, 404, 404, 200]
    assert client.get("/corpus").json()["set_aside"] == {"unstorable": 2}


def test_a_record_that_is_nested_too_deeply_costs_itself_only(
    load: Load, client: TestClient, session: Session, tmp_path: Path
) -> None:
    def record(n: int, keywords: str) -> str:
        return f'{{"patentID": "LD{n}-20000101", "caption": "Fig. 1 is a top view", "keywords": {keywords}}}'

    data = tmp_path / "data.json"
    for depth in (1_000, 200_000):
        data.write_text(f"[{record(1, '[]')}, {record(2, '[' * depth + ']' * depth)}, {record(3, '[]')}]")
        job = load(data)
        assert (job["state"], job["progress"]["failed"]) == ("succeeded", 2)  # and it comes without images
        assert job["result"]["set aside: too-deep"] == 1
    assert session.scalars(select(Patent.patent_id).order_by(Patent.patent_id)).all() == ["LD1", "LD3"]


@pytest.mark.parametrize("body", ['{"uri": %s}', '{"uri": "file:///x", "images": %s}', "%s", '{"x": %s}'])
def test_a_request_that_is_nested_too_deeply_is_answered(client: TestClient, body: str) -> None:
    depth = 30_000
    response = client.post("/ingest", content=body % ("[" * depth + "]" * depth), headers=AS_JSON)
    problem_of(response, 422, "invalid-request")


Interrupt = Callable[[int], list[str]]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """From now on a run ends when it has read so many records, and what it read is listed."""
    monkeypatch.setattr(runner_of_ingest, "BATCH", 2)
    monkeypatch.setattr(runner_of_ingest, "AHEAD", 1)

    def from_now_on(records: int) -> list[str]:
        ids: list[str] = []

        def reader(*args: Any, **options: Any) -> Iterator[Any]:
            for found in read_on(*args, **options):
                if len(ids) == records:
                    raise runner.HandedBack
                ids.extend([found.id] if isinstance(found, PatentRecord) else [])
                yield found

        monkeypatch.setattr(runner_of_ingest, "read_on", reader)
        return ids

    return from_now_on


def test_a_run_goes_on_behind_the_packages_that_an_interrupted_one_wrote(
    load: Load, interrupt: Interrupt, designs: list[Design], tmp_path: Path
) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    for design in designs:
        write_package(folder, design, size=SIZE)
    read_before = interrupt(6)
    job = load(folder)
    assert job["state"] == "queued"
    read_after = interrupt(100)
    job = load.again(job["id"])  # type: ignore[attr-defined]
    assert read_before + read_after[-2:] == sorted(design.id for design in designs)
    assert 2 < len(read_after) < 6  # two were not read again for each two that were written
    assert (job["state"], job["progress"]) == ("succeeded", {"total": 8, "done": 8, "skipped": 0, "failed": 0})
    assert job["result"] == {"records": 8, "added": 8}


def test_a_folder_that_is_another_one_by_then_is_read_from_its_beginning(
    load: Load, interrupt: Interrupt, designs: list[Design], tmp_path: Path
) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    first, *others = sorted(designs, key=lambda design: design.name)
    for design in others:
        write_package(folder, design, size=SIZE)
    interrupt(6)
    job = load(folder)
    write_package(folder, first, size=SIZE)
    read_after = interrupt(100)
    job = load.again(job["id"])  # type: ignore[attr-defined]
    assert len(read_after) == 8
    assert (job["state"], job["progress"]) == ("succeeded", {"total": 8, "done": 8, "skipped": 0, "failed": 0})


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("file:///etc/passwd", 403),
        ("http://127.0.0.1/package.zip", 400),
        ("https://example.org/I20210105.tar", 400),
        ("gopher://x", 400),
        ("{root}/../../etc/passwd", 403),
        ("{root}/missing.tar", 404),
    ],
)
def test_a_uri_outside_the_roots_is_refused(client: TestClient, tmp_path: Path, uri: str, status: int) -> None:
    response = client.post("/ingest", json={"uri": uri.format(root=tmp_path.as_uri())})
    assert response.status_code in {status, 400}
    assert response.headers["content-type"] == "application/problem+json"


def test_an_upload_leaves_no_object_behind(
    load: Load, client: TestClient, designs: list[Design], tmp_path: Path
) -> None:
    load(write_package(tmp_path, designs[0], size=SIZE))
    assert not [path for path in (tmp_path / "objects" / "uploads").rglob("*") if path.is_file()]
    refused = client.post("/ingest", files={"other": ("a.zip", b"data")})
    assert refused.status_code == 422
    assert not [path for path in (tmp_path / "objects" / "uploads").rglob("*") if path.is_file()]


def test_real_packages_hold_what_an_independent_count_finds(
    load: Load, client: TestClient, session: Session, real_data: Path, tmp_path: Path
) -> None:
    from lxml import etree

    inbox = tmp_path / "impact30"
    inbox.mkdir()
    packages = sorted((real_data / "uspto" / "impact30").glob("*.ZIP"))
    for source in packages:
        (inbox / source.name).write_bytes(source.read_bytes())
    assert load(inbox)["progress"] == {"total": 30, "done": 30, "skipped": 0, "failed": 0}
    for source in packages:
        with zipfile.ZipFile(source) as archive:
            (name,) = [name for name in archive.namelist() if name.upper().endswith(".XML")]
            tree = etree.fromstring(archive.read(name), etree.XMLParser(resolve_entities=False))
            images = [name for name in archive.namelist() if name.upper().endswith(".TIF")]
        patent = client.get(f"/patents/{source.name.split('-')[0]}").json()
        assert len(patent["sheets"]) == len(images)
        assert len(patent["drawings"]) == int(tree.findtext(".//number-of-figures") or 0)
        assert len(patent["figures"]) == int(tree.findtext(".//number-of-figures") or 0), source.name
        assert len(patent["citations"]) == int(tree.xpath("count(//us-citation/patcit)"))
    assert count(session, Figure) > 150
    assert count(session, Citation) > 300
    assert count(session, Package) == 0
