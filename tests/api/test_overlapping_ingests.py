"""Two ingests of overlapping packages at once leave what one after the other would have left."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from linework_api import worker
from linework_core import db
from linework_core.jobs import runner
from linework_core.tables import Encoder
from linework_office import plan, write_weeks
from tests.contents import contents

SIZE = 0.15
Ingest = Callable[[Path], None]


@pytest.fixture
def ingest(client: TestClient, encoder: Encoder) -> Iterator[Ingest]:
    """Ingests a folder, and returns when that has ended."""
    worker.decoder.cache_clear()

    def load(folder: Path) -> None:
        job_id = client.post("/ingest", json={"uri": folder.as_uri()}).raise_for_status().json()["id"]
        runner.run_job(UUID(job_id), worker._ingest)
        job = client.get(f"/jobs/{job_id}").json()
        assert (job["state"], job["progress"]["failed"]) == ("succeeded", 0), job

    yield load
    worker.decoder().close()
    worker.decoder.cache_clear()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Ten designs, some of them in both folders; of these, some were corrected in one."""
    designs = plan(designs=10, seed=11)
    corrected = [replace(design, title=f"{design.title}, corrected") for design in designs[3:5]]
    first, second = tmp_path / "first", tmp_path / "second"
    write_weeks(first, designs[:7], size=SIZE)
    write_weeks(second, [*corrected, *designs[5:]], size=SIZE)
    return first, second


def empty(engine: Engine) -> None:
    tables = "patents, sheets, figures, citations, drawings, embeddings, packages, set_aside, jobs"
    with db.transaction(engine) as session:
        session.execute(text(f"TRUNCATE {tables} CASCADE"))


def test_two_overlapping_ingests_at_once_are_as_one_after_the_other(
    ingest: Ingest, engine: Engine, folders: tuple[Path, Path], object_store_url: str, threads: ThreadPoolExecutor
) -> None:
    objects = Path(object_store_url.removeprefix("file://"))

    one_after_the_other = []
    for order in (folders, folders[::-1]):
        for folder in order:
            ingest(folder)
        one_after_the_other.append(contents(engine, objects))
        empty(engine)
    for _ in range(2):
        list(threads.map(ingest, folders))
        assert contents(engine, objects) in one_after_the_other
        empty(engine)
