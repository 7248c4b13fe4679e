"""A store that takes nothing: the caller is told why, nothing is half done, and all is well once there is room."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api import worker
from linework_core.jobs import runner
from linework_core.tables import Encoder, Job, Patent
from linework_office import plan, write_package
from tests.api.conftest import change, problem_of

Mend = Callable[[], None]
SIZE = 0.2
DESIGNS = 4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB, in memory. Skips where this account may mount none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk that fills up is mounted, and only root may do that")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def object_store_url(disk: Path) -> str:
    return (disk / "objects").as_uri()


@pytest.fixture(params=["full", "read-only"])
def fault(request: pytest.FixtureRequest, disk: Path, client: TestClient) -> Mend:
    """The disk takes nothing from now on, until the fault is mended."""
    filler = disk / "filler"

    def writable() -> None:
        filler.unlink(missing_ok=True)

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    if request.param == "read-only":
        remount("ro")
        return lambda: remount("rw")
    with filler.open("wb", buffering=0) as file:
        while (left := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize) > 0:
            file.write(bytes(min(left, 1 << 20)))
    return writable


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    for design in plan(designs=DESIGNS, seed=5):
        write_package(folder, design, size=SIZE)
    return folder


@pytest.fixture(autouse=True)
def own_decoder(client: TestClient) -> Iterator[None]:
    worker.decoder.cache_clear()
    yield
    worker.decoder().close()
    worker.decoder.cache_clear()


def run(job_id: UUID) -> None:
    runner.run_job(job_id, worker._ingest)


def patents(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Patent)) or 0


def ingest(client: TestClient, packages: Path) -> UUID:
    return UUID(client.post("/ingest", json={"uri": packages.as_uri()}).raise_for_status().json()["id"])


def test_an_ingest_says_that_the_store_takes_nothing_and_goes_on_when_it_does(
    client: TestClient, session: Session, encoder: Encoder, packages: Path, disk: Path, fault: Mend
) -> None:
    job_id = ingest(client, packages)
    run(job_id)
    job = client.get(f"/jobs/{job_id}").json()
    assert (job["state"], job["error"]["type"]) == ("queued", "unavailable")
    assert job["error"]["detail"].startswith("The object store does not take originals/")
    assert any(reason in job["error"]["detail"] for reason in ("No space left on device", "Read-only file system"))
    assert patents(session) == 0
    fault()
    change(session, job_id, not_before=func.now())
    run(job_id)
    ended = client.get(f"/jobs/{job_id}").json()
    assert (ended["state"], ended["error"], ended["progress"]["done"]) == ("succeeded", None, DESIGNS)
    assert patents(session) == DESIGNS
    assert not list(disk.rglob("*#*")), "halves of objects"


def test_an_upload_is_refused_and_leaves_nothing_behind(
    client: TestClient, session: Session, packages: Path, disk: Path, fault: Mend
) -> None:
    file = next(packages.iterdir())
    refused = client.post("/ingest", files={"file": (file.name, file.read_bytes())})
    problem = problem_of(refused, 503, "unavailable")
    assert problem["detail"].startswith("The object store does not take the upload.")
    assert int(refused.headers["retry-after"]) > 0
    assert session.scalar(select(func.count()).select_from(Job)) == 0
    fault()
    assert not [one for one in (disk / "objects").rglob("*") if one.is_file()]
    assert client.post("/ingest", files={"file": (file.name, file.read_bytes())}).status_code == 202
