"""What starts together starts in any order: it waits for Postgres by itself, and shows that it lives."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from linework_core import alive
from linework_core.db import wait_for_server
from linework_local.postgres import Postgres, embedded_postgres

AWAY = "postgresql+psycopg://linework@/linework?host=/nowhere"


def test_a_server_that_never_comes_is_an_error() -> None:
    with pytest.raises(OperationalError):
        wait_for_server(AWAY, seconds=0)


def test_migrations_wait_for_a_server_that_starts_later(server_folder: Path) -> None:
    folder = server_folder / "late"
    folder.mkdir()
    url = Postgres(folder / "pg", folder / "s").url()
    environment = {**os.environ, "DATABASE_URL": url}
    command = [sys.executable, "-m", "linework_core.db", "upgrade", "head"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as migration:
        assert migration.stderr is not None
        assert "waiting_for_database" in migration.stderr.readline()
        threading.Thread(target=migration.stderr.read, daemon=True).start()
        with embedded_postgres(folder):
            assert migration.wait(timeout=60) == 0


def test_a_process_that_lives_keeps_its_file_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "EVERY_S", 0.01)
    file = tmp_path / "alive"
    alive.keep_touching(file)
    deadline = time.monotonic() + 5
    while not file.exists():
        assert time.monotonic() < deadline
    first = file.stat().st_mtime_ns
    while file.stat().st_mtime_ns == first:
        assert time.monotonic() < deadline


def test_a_process_without_such_a_file_touches_none() -> None:
    before = threading.active_count()
    alive.touch(None)
    alive.keep_touching(None)
    assert threading.active_count() == before
