"""Postgres servers of one machine, of which one follows the other."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alembic import command

from benchmarks.search.postgres import connect
from linework_core import db
from linework_local.account import give_folder, unprivileged
from linework_local.machine import GB, Machine
from linework_local.postgres import DATABASE, USER, Postgres, binaries

FOLLOWED = {
    "wal_level": "logical", "max_wal_senders": "8", "max_replication_slots": "8", "hot_standby": "on",
    "hot_standby_feedback": "on", "shared_buffers": "'1GB'", "max_worker_processes": "16",
}  # fmt: skip


def server(folder: Path, name: str) -> Postgres:
    return Postgres(data=folder / name, sockets=folder / f"{name}-s")


@contextmanager
def running(postgres: Postgres, settings: Mapping[str, str] = FOLLOWED) -> Iterator[str]:
    """The URL of the server's database, for as long as it runs."""
    machine = Machine.here()
    postgres.prepare(Machine(min(machine.memory, 8 * GB), machine.cores, machine.shared_memory))
    with (postgres.data / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
    with postgres.data.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(postgres.command(), stdout=log, stderr=log, cwd="/")
    try:
        postgres.wait_until_ready()
        yield postgres.url()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def migrate(postgres: Postgres) -> None:
    postgres.create_database()
    command.upgrade(db.alembic_config(postgres.url()), "head")


def base_backup(of: Postgres, to: Postgres) -> float:
    """A copy that follows `of` when it is started; the seconds that it took."""
    give_folder(to.data)
    started = time.monotonic()
    _run(of, to, "pg_basebackup", "-h", str(of.sockets), "-U", USER, "-D", str(to.data), "-R", "-X", "stream",
         "-c", "fast")  # fmt: skip
    return time.monotonic() - started


def make_subscriber(of: Postgres, standby: Postgres) -> float:
    """Turn a standby that is stopped into a logical subscriber of `of`; the seconds that it took."""
    started = time.monotonic()
    publisher = f"host={of.sockets} user={USER} dbname={DATABASE}"
    _run(of, standby, "pg_createsubscriber", "-D", str(standby.data), "-P", publisher, "-d", DATABASE,
         "-s", str(standby.sockets), "-U", USER, "--publication", "linework", "--subscription", "linework")  # fmt: skip
    return time.monotonic() - started


def _run(of: Postgres, to: Postgres, program: str, *arguments: str) -> None:
    binary = binaries() / program
    line = unprivileged([str(binary), *arguments], (binary, of.sockets, to.data))
    done = subprocess.run(line, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


def snapshot(url: str) -> int:
    with connect(url) as connection:
        found = connection.execute("SELECT snapshot FROM corpus").fetchone()
    return int(found[0]) if found else 0
