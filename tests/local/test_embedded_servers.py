import subprocess
import sys
import time
from pathlib import Path

import psycopg

from linework_local.postgres import embedded_postgres
from tests.waiting import PATIENCE

HOLD = """
import sys, time
from pathlib import Path
from linework_local.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def answers(folder: Path) -> bool:
    try:
        psycopg.connect(host=str(folder / "s"), user="linework", dbname="linework").close()
    except psycopg.OperationalError:
        return False
    return True


def test_an_embedded_postgres_ends_with_its_context(server_folder: Path) -> None:
    folder = server_folder / "brief"
    folder.mkdir()
    with embedded_postgres(folder):
        assert answers(folder)
    assert not answers(folder)


def test_an_embedded_postgres_ends_when_its_starter_is_killed(server_folder: Path) -> None:
    folder = server_folder / "killed"
    folder.mkdir()
    starter = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout:
        assert starter.stdout.readline() == "ready\n"
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + PATIENCE
    while answers(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
