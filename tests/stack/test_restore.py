"""Backup and restore as docs/operations.md has them: dump, wipe, restore, the same answers."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, pool, text

from linework_local.postgres import binaries
from linework_office import publish
from tests.stack.conftest import Stack

SERVICES = ("embedder", "api", "ingest", "embed", "beat")


@pytest.mark.timeout(900)
def test_after_dump_wipe_and_restore_searches_have_the_same_answers(stack: Stack, tmp_path: Path) -> None:
    publish(stack.folder / "inbox", designs=16, seed=3, size=0.25)
    assert stack.wait_for_job(stack.ingest(stack.folder / "inbox"))["state"] == "succeeded"
    stack.wait_until_indexed()
    patent = _search(stack, q="a")["hits"][0]["patent"]["id"]
    question = {"patent": patent, "before": "2030-01-01", "limit": 20}
    before = _search(stack, **question)
    picture = stack.client.get(before["hits"][0]["drawing"]["image"]).raise_for_status().content

    dump, copy = tmp_path / "linework.dump", tmp_path / "objects"
    _run("pg_dump", "--format=custom", f"--file={dump}", _plain(stack))  # the database first,
    shutil.copytree(stack.folder / "objects", copy)  # then the objects: none that it names is missing
    _stop(stack)
    _wipe(stack)

    shutil.copytree(copy, stack.folder / "objects")  # and back the other way round
    _run("pg_restore", "--exit-on-error", f"--dbname={_plain(stack)}", str(dump))
    stack.start("redis", *SERVICES)
    stack.wait_until_ready()

    after = _search(stack, **question)
    own = dict.fromkeys(("search_id", "next"))  # each search names its own record
    assert after | own == before | own
    replayed = stack.client.post(f"/searches/{before['search_id']}/replay").raise_for_status().json()
    assert replayed["same"], replayed
    assert stack.client.get(before["hits"][0]["drawing"]["image"]).content == picture

    again = stack.wait_for_job(stack.ingest(stack.folder / "inbox"))  # and the corpus goes on from where it was
    assert again["progress"] == {"total": 16, "done": 0, "skipped": 16, "failed": 0}


def _search(stack: Stack, **question: Any) -> dict[str, Any]:
    answer: dict[str, Any] = stack.client.get("/search", params=question).raise_for_status().json()
    return answer


def _plain(stack: Stack) -> str:
    """The database's URL, as libpq wants it."""
    url = make_url(stack.environment["DATABASE_URL"]).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def _run(program: str, *arguments: str) -> None:
    subprocess.run([str(binaries() / program), *arguments], check=True, env=os.environ | {"PGTZ": "UTC"})


def _stop(stack: Stack) -> None:
    for name in (*SERVICES, "redis"):
        stack.kill(name)
    for socket in ("api.sock", "embedder.sock"):
        (stack.folder / socket).unlink(missing_ok=True)


def _wipe(stack: Stack) -> None:
    shutil.rmtree(stack.folder / "objects")
    url = make_url(stack.environment["DATABASE_URL"])
    admin = create_engine(url.set(database="postgres"), poolclass=pool.NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{url.database}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{url.database}" TEMPLATE template0'))
