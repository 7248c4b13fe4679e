"""What a pod that is taken away does first: its worker hands the job back, so that another may go on with it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from obstore.store import ObjectStore
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from linework_core import store
from linework_core.db import transaction
from linework_core.jobs import service
from linework_core.recipes import TrainingOrder
from linework_core.settings import Settings
from linework_core.tables import Job
from tests.configured import configured
from tests.ingest.building import weekly
from tests.trainer.corpus import add_designs
from tests.waiting import until
from tests.workers import workers

TINY = {
    "model": {"backbone": "test_resnet", "image_size": 32},
    "precision": "fp32",
    "stages": {"main": {"epochs": 100_000, "batch_size": 8, "together": 2}},
    "validation": {"share": 0.2},
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    values = {
        "INGEST_ROOTS": json.dumps([tmp_path.as_uri()]), "CACHE_DIR": str(tmp_path / "cache"),
        "TRAIN_LOADERS": "0", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with configured(monkeypatch, own_servers | values) as settings:
        yield settings


def read(engine: Engine, job_id: UUID) -> Job:
    with Session(engine, expire_on_commit=False) as session:
        return session.get_one(Job, job_id)


def order(kind: str, **params: object) -> UUID:
    with transaction() as session:
        return service.create(session, kind, params, owner="test").id


def test_a_training(settings: Settings, engine: Engine, session: Session, objects: ObjectStore) -> None:
    asked = TrainingOrder(recipe="linework", overrides=TINY).model_dump(mode="json")
    job_id = order("train", **asked, snapshot=add_designs(session, objects, 8))
    with workers("linework_trainer.worker", "train") as start:
        worker = start()
        until(lambda: read(engine, job_id).done >= 3)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0  # of the 120 s that its pod gives it
        job = read(engine, job_id)
        assert (job.state, job.lease_holder) == ("queued", None)
        assert store.get(objects, f"trainings/{job_id}/state")  # from which another goes on: tests/trainer


def test_an_ingest(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    tar = tmp_path / "I20210105.tar"
    tar.write_bytes(weekly(f"D09{number:05}" for number in range(60)))
    job_id = order("ingest", uri=tar.as_uri())
    with workers("linework_api.worker", "ingest") as start:
        worker = start()
        until(lambda: read(engine, job_id).done >= 1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        job = read(engine, job_id)
        assert (job.state, job.lease_holder) == ("queued", None)
        start()
        until(lambda: read(engine, job_id).state == "succeeded")
    assert read(engine, job_id).done == 60
