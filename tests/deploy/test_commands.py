"""The commands that only a cluster runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from linework_core.db import alembic_config
from linework_core.queues import waiting
from linework_core.settings import Settings
from tests.configured import configured
from tests.deploy.manifests import pods
from tests.waiting import PATIENCE


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    with configured(monkeypatch, own_servers | {"INGEST_ROOTS": json.dumps([tmp_path.as_uri()])}) as settings:
        yield settings


def start(*module: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", *module], env=dict(os.environ), stdout=subprocess.PIPE, text=True)


def test_what_waits_for_the_migrations_goes_on_when_they_are_there(settings: Settings) -> None:
    ready = start("linework_core.migrated")
    ready.communicate(timeout=PATIENCE)
    assert ready.returncode == 0
    command.downgrade(alembic_config(settings.database_url), "-1")
    waits = start("linework_core.migrated")
    time.sleep(4)
    assert waits.poll() is None
    command.upgrade(alembic_config(settings.database_url), "head")
    waits.communicate(timeout=PATIENCE)
    assert waits.returncode == 0


def test_a_schedule_queues_an_ingest_for_the_workers(settings: Settings, tmp_path: Path) -> None:
    done = start("linework_api.ingest", "--queue", tmp_path.as_uri())
    told, _ = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0
    job = json.loads(told)
    assert (job["kind"], job["state"]) == ("ingest", "queued")
    assert waiting("ingest") == 1


def test_a_schedule_finds_work_undone(settings: Settings) -> None:
    done = start("linework_core.jobs.reconcile")
    done.communicate(timeout=PATIENCE)
    assert done.returncode == 0


def test_every_command_of_the_cluster_names_a_module_that_there_is() -> None:
    modules = {container["command"][2] for pod in pods("production") for container in pod.containers()}
    modules -= {"celery", "uvicorn", "torch.distributed.run"}
    for module in modules:
        __import__(module)
