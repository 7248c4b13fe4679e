"""kill -9 in mid-job: counts are right afterwards, nothing is twice, nothing is stuck."""

import shutil
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from linework_office import Design, plan, write_weeks
from tests.stack.conftest import Stack

DESIGNS = 40


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    write_weeks(folder, granted(), size=0.25)
    return folder


@pytest.fixture
def inbox(stack: Stack, packages: Path) -> Path:
    """The packages where the stack may read them."""
    return Path(shutil.copytree(packages, stack.folder / "inbox"))


def granted() -> list[Design]:
    """Designs with a sheet for each figure, so that it is known how many drawings they have."""
    return [replace(design, sheets=(1,) * len(design.views)) for design in plan(designs=DESIGNS, seed=3)]


def expected_drawings() -> int:
    return sum(len(design.views) for design in granted())


def assert_nothing_is_missing_or_double(stack: Stack) -> None:
    database = create_engine(stack.environment["DATABASE_URL"])
    with database.connect() as connection:

        def count(query: str) -> int:
            return int(connection.execute(text(query)).scalar_one())

        assert count("SELECT count(*) FROM patents") == DESIGNS
        assert count("SELECT count(*) FROM patents WHERE removed_in IS NULL") == DESIGNS
        drawings = count("SELECT count(*) FROM drawings")
        assert drawings == count("SELECT count(DISTINCT drawing_id) FROM drawings") == expected_drawings()
        assert count("SELECT count(*) FROM embeddings") == drawings
        assert count("SELECT count(DISTINCT (encoder, drawing_id)) FROM embeddings") == drawings
        assert count("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')") == 0
        snapshot = count("SELECT snapshot FROM corpus")
        changes = "SELECT added_in FROM drawings UNION SELECT added_in FROM embeddings"
        assert count(f"SELECT count(*) FROM ({changes})") == snapshot
    database.dispose()


def wait_until(stack: Stack, query: str, at_least: int) -> None:
    """Until so much of the job is done that killing its worker is killing it in the middle."""
    database = create_engine(stack.environment["DATABASE_URL"])

    def reached() -> bool:
        with database.connect() as connection:
            return int(connection.execute(text(query)).scalar_one()) >= at_least

    stack.wait_for(reached, 60, query)
    database.dispose()


def undone(stack: Stack) -> list[object]:
    pages = [stack.client.get("/jobs", params={"state": state}).json() for state in ("queued", "running")]
    return [job for page in pages for job in page["jobs"]]


def finish(stack: Stack, job_id: str) -> None:
    job = stack.wait_for_job(job_id)
    assert job["state"] == "succeeded", job
    assert job["progress"] == {"total": DESIGNS, "done": DESIGNS, "skipped": 0, "failed": 0}
    stack.wait_until_indexed()
    stack.wait_for(lambda: not undone(stack), 30, "no job is left")
    assert_nothing_is_missing_or_double(stack)


def test_an_undisturbed_ingest_ends_with_every_drawing_indexed(stack: Stack, inbox: Path) -> None:
    finish(stack, stack.ingest(inbox))
    again = stack.wait_for_job(stack.ingest(inbox))
    assert again["progress"] == {"total": DESIGNS, "done": 0, "skipped": DESIGNS, "failed": 0}
    assert_nothing_is_missing_or_double(stack)


def test_the_ingest_worker_is_killed(stack: Stack, inbox: Path) -> None:
    job_id = stack.ingest(inbox)
    wait_until(stack, "SELECT count(*) FROM patents", 10)
    stack.kill("ingest")
    assert stack.job(job_id)["state"] == "running"
    stack.start("ingest")
    finish(stack, job_id)
    assert not [process for process in psutil.process_iter() if _is_orphaned_child(process, stack)]


def _is_orphaned_child(process: psutil.Process, stack: Stack) -> bool:
    try:
        return process.ppid() == 1 and str(stack.folder) in process.cwd()
    except psutil.Error:
        return False


def test_the_embed_worker_is_killed(stack: Stack, inbox: Path) -> None:
    job_id = stack.ingest(inbox)
    wait_until(stack, "SELECT count(*) FROM embeddings", 32)
    stack.kill("embed")
    stack.start("embed")
    finish(stack, job_id)


def test_redis_is_killed_and_forgets_everything(stack: Stack, inbox: Path) -> None:
    job_id = stack.ingest(inbox)
    wait_until(stack, "SELECT count(*) FROM patents", 10)
    stack.kill("redis")
    assert stack.client.get("/health/ready").status_code == 503
    second = stack.ingest(inbox)  # accepted all the same: its nudge is lost, the job is not
    stack.start("redis")
    assert stack.wait_for_job(second)["state"] == "succeeded"
    finish(stack, job_id)


def test_all_workers_die_at_once(stack: Stack, inbox: Path) -> None:
    job_id = stack.ingest(inbox)
    wait_until(stack, "SELECT count(*) FROM embeddings", 16)
    names = ("ingest", "embed", "beat", "embedder", "api", "redis")
    for name in names:
        stack.kill(name)
    stack.start("redis", *(name for name in names if name != "redis"))
    stack.wait_until_ready()
    finish(stack, job_id)
