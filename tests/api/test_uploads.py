"""Uploads and what else lies in the object store for one job: there until its end is committed, and gone then."""

import datetime as dt
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import obstore
import pytest
from fastapi.testclient import TestClient
from obstore.store import ObjectStore
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from linework_api import beat
from linework_core import store, sweep
from linework_core.errors import Unprocessable
from linework_core.jobs import objects as objects_of_jobs
from linework_core.jobs import runner
from linework_core.jobs.objects import training_state
from linework_core.jobs.reconcile import reconcile
from linework_core.jobs.runner import HandedBack, Run
from linework_core.settings import Settings
from linework_core.tables import Job
from tests.api.conftest import NewJob, change, long_ago, look
from tests.ingest.building import as_lines, data_record
from tests.waiting import PATIENCE, until

DATA = as_lines([data_record("LD1-20000101")]).encode()


@pytest.fixture
def objects(environment: Settings) -> ObjectStore:
    return store.get_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


def keys(objects: ObjectStore) -> list[str]:
    return [meta["path"] for page in obstore.list(objects) for meta in page]


def upload(client: TestClient) -> UUID:
    response = client.post("/ingest", files={"file": ("data.json", DATA)})
    return UUID(response.raise_for_status().json()["id"])


def unreadable(run: Run) -> dict[str, Any]:
    raise Unprocessable("Nothing in it.")


def crashing(run: Run) -> dict[str, Any]:
    raise ZeroDivisionError


def handing_back(run: Run) -> dict[str, Any]:
    raise HandedBack


def succeeding(run: Run) -> dict[str, Any]:
    assert len(keys(store.get_store())) == 1  # there while it runs
    return {}


# ---- endings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("handler", "state"), [(succeeding, "succeeded"), (unreadable, "failed")])
def test_an_upload_goes_when_its_job_has_ended(
    client: TestClient, session: Session, objects: ObjectStore, handler: Callable[[Run], dict[str, Any]], state: str
) -> None:
    job_id = upload(client)
    assert len(keys(objects)) == 1
    runner.run_job(job_id, handler)
    assert (look(session, job_id).state, keys(objects)) == (state, [])


def test_an_upload_stays_while_its_job_is_tried_again_and_goes_after_the_last_try(
    client: TestClient, session: Session, objects: ObjectStore
) -> None:
    job_id = upload(client)
    for _ in range(runner.MAX_TRIES):
        assert len(keys(objects)) == 1
        change(session, job_id, not_before=long_ago())
        runner.run_job(job_id, crashing)
    assert (look(session, job_id).state, keys(objects)) == ("failed", [])


def test_an_upload_stays_for_the_worker_that_goes_on(
    client: TestClient, session: Session, objects: ObjectStore
) -> None:
    job_id = upload(client)
    runner.run_job(job_id, handing_back)
    assert (look(session, job_id).state, len(keys(objects))) == ("queued", 1)


def test_an_upload_goes_when_its_job_is_cancelled_before_it_began(client: TestClient, objects: ObjectStore) -> None:
    job_id = upload(client)
    assert client.delete(f"/jobs/{job_id}").json()["state"] == "cancelled"
    assert keys(objects) == []


def test_an_upload_goes_when_its_job_is_cancelled_while_it_runs(
    client: TestClient, session: Session, objects: ObjectStore
) -> None:
    def cancelled(run: Run) -> dict[str, Any]:
        client.delete(f"/jobs/{run.job_id}")
        raise runner.Cancelled

    job_id = upload(client)
    runner.run_job(job_id, cancelled)
    assert (look(session, job_id).state, keys(objects)) == ("cancelled", [])


@pytest.mark.parametrize("values", [{"cancel_requested": True}, {"tries": runner.MAX_TRIES}], ids=repr)
@pytest.mark.parametrize("by", ["the beat", "a worker"])
def test_an_upload_goes_when_its_worker_died_and_nobody_goes_on(
    client: TestClient, session: Session, objects: ObjectStore, values: dict[str, Any], by: str
) -> None:
    job_id = upload(client)
    change(session, job_id, state="running", lease_holder="dead", lease_until=long_ago(), **values)
    if by == "the beat":
        reconcile()
    runner.run_job(job_id, succeeding)
    assert (look(session, job_id).state in ("cancelled", "failed"), keys(objects)) == (True, [])


def test_an_upload_stays_if_the_end_of_its_job_is_not_committed(
    client: TestClient, session: Session, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> object:
        raise OperationalError("", {}, Exception("the server closed the connection"))

    def ending_with_the_database(run: Run) -> dict[str, Any]:
        monkeypatch.setattr(runner, "transaction", cut_off)
        return {}

    job_id = upload(client)
    runner.run_job(job_id, ending_with_the_database)
    monkeypatch.undo()
    assert (look(session, job_id).state, len(keys(objects))) == ("running", 1)


def test_a_store_that_is_away_does_not_change_how_a_job_ended(
    client: TestClient, session: Session, objects: ObjectStore, folder: Path
) -> None:
    job_id = upload(client)
    (key,) = keys(objects)
    (folder / key).unlink()
    (folder / key).mkdir()
    (folder / key / "in-the-way").touch()  # so that it cannot be deleted
    runner.run_job(job_id, lambda run: {})
    assert look(session, job_id).state == "succeeded"


def test_the_state_of_a_training_goes_with_its_job(new_job: NewJob, session: Session, objects: ObjectStore) -> None:
    first, second = new_job("train"), new_job("train")
    for job_id in (first, second):
        store.put(objects, training_state(job_id), b"tensors")
    runner.run_job(first, crashing)
    runner.run_job(second, unreadable)
    assert (look(session, first).state, keys(objects)) == ("queued", [training_state(first)])


# ---- the sweep ---------------------------------------------------------------------------------------------

Put = Callable[..., str]


@pytest.fixture
def put(objects: ObjectStore, folder: Path) -> Put:
    def put(key: str, *, hours: float = 25) -> str:
        """An object that was written so long ago."""
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        written = dt.datetime.now().timestamp() - hours * 3600
        os.utime(path, (written, written))
        return key

    return put


def test_what_no_undone_job_uses_is_swept_once_it_is_a_day_old(
    put: Put, objects: ObjectStore, environment: Settings, new_job: NewJob
) -> None:
    ended = new_job("train", state="succeeded")
    old = {put("uploads/a"), put(training_state(ended)), put("uploads/of-an-ended-job")}
    new_job(state="failed", params={"uploads": {"file": {"key": "uploads/of-an-ended-job"}}})
    young = {put("uploads/b", hours=23), put("originals/aa/aa"), put("checkpoints/aa/aa.tar")}
    assert set(sweep.sweep(environment, objects, dry_run=True)) == old
    assert set(keys(objects)) == old | young
    assert set(sweep.sweep(environment, objects)) == old
    assert set(keys(objects)) == young
    assert sweep.sweep(environment, objects) == []


def test_what_an_undone_job_uses_is_never_swept(
    put: Put, objects: ObjectStore, environment: Settings, new_job: NewJob
) -> None:
    uploads = [{"key": put(f"uploads/{name}", hours=1000)} for name in "abcd"]
    new_job(state="running", params={"uploads": {"file": uploads[0], "images": uploads[1]}})
    new_job(state="queued", params={"uploads": {"file": uploads[2]}})
    new_job("search", state="running", params={"upload": uploads[3]})
    put(training_state(new_job("train", state="queued")), hours=1000)
    assert sweep.sweep(environment, objects) == []
    assert len(keys(objects)) == 5


def test_halves_of_uploads_that_were_cut_off_are_swept(
    put: Put, objects: ObjectStore, environment: Settings, folder: Path
) -> None:
    put("uploads/a#1")
    put("uploads/b#1", hours=1)
    sweep.sweep(environment, objects)
    assert [path.name for path in folder.rglob("*#*")] == ["b#1"]


def test_two_sweeps_at_once_do_no_harm(
    put: Put, objects: ObjectStore, environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("uploads/a")
    put("uploads/b#1")
    used = sweep._used

    def another_sweep_comes_between() -> set[str]:
        monkeypatch.setattr(sweep, "_used", used)
        sweep.sweep(environment, objects)
        return used()

    monkeypatch.setattr(sweep, "_used", another_sweep_comes_between)
    sweep.sweep(environment, objects)
    assert keys(objects) == []


def test_what_another_sweep_or_an_ended_upload_has_taken_is_passed_over(
    put: Put, objects: ObjectStore, environment: Settings, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    put("uploads/a#1")
    put("uploads/b#1")
    names = sweep.HALF_AN_OBJECT

    class AnotherSweepComesBetween:
        def fullmatch(self, name: str) -> object:
            monkeypatch.setattr(sweep, "HALF_AN_OBJECT", names)
            sweep.sweep(environment, objects)
            return names.fullmatch(name)

    monkeypatch.setattr(sweep, "HALF_AN_OBJECT", AnotherSweepComesBetween())
    assert sweep.sweep(environment, objects) == []
    assert list(folder.rglob("*#*")) == []


def test_the_command_names_what_it_deleted(
    put: Put, environment: Settings, capsys: pytest.CaptureFixture[str], objects: ObjectStore
) -> None:
    put("uploads/a")
    sweep.main(["--dry-run"])
    assert keys(objects) == ["uploads/a"]
    sweep.main([])
    assert capsys.readouterr().out == "uploads/a\n" * 2
    assert keys(objects) == []


def test_the_beat_sweeps_every_hour_and_outlives_a_store_that_is_away(
    put: Put, objects: ObjectStore, environment: Settings, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(beat, "SWEEP_SECONDS", 0.05)
    (folder / put("uploads/a")).unlink()
    (folder / "uploads").rmdir()
    (folder / "uploads").touch()  # no folder: it cannot be listed
    sweeping = threading.Thread(target=beat.sweep_hourly, args=(environment, ended))
    sweeping.start()
    time.sleep(0.2)
    (folder / "uploads").unlink()
    for name in "bc":
        put(f"uploads/{name}")
        until(lambda: keys(objects) == [])
    ended.set()
    sweeping.join(PATIENCE)
    assert not sweeping.is_alive()


def test_jobs_without_objects_have_none(session: Session) -> None:
    job = Job(kind="embed", params={"encoder": "x"}, owner="x")
    assert objects_of_jobs.keys_of(job.id, job.kind, job.params) == []
