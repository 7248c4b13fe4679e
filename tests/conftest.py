"""Real servers for every test: Postgres with pgvector and Redis, started here or named by the environment.

LINEWORK_TEST_DATABASE_URL  a server (any database on it) where tests may create and drop databases
LINEWORK_TEST_REDIS_URL     a Redis database that tests may flush; run them in one process then (-n0)
LINEWORK_DATA               a folder with real data; tests that need it are skipped where it is missing
"""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from alembic import command
from obstore.store import ObjectStore
from redis import Redis
from sqlalchemy import Engine, create_engine, make_url, pool, text
from sqlalchemy.orm import Session

from linework_core import db, store
from linework_core.db import alembic_config
from linework_core.settings import Settings
from linework_local.machine import GB, Machine
from linework_local.postgres import embedded_postgres
from linework_local.redis import embedded_redis

# Off in a product: an encoder that embeds nothing, and models from a test's own folders
os.environ.setdefault("DEBUG_ENCODERS", "true")
os.environ.setdefault("MODEL_ROOTS", json.dumps([tempfile.gettempdir()]))

if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a test process for each core: more threads of torch's would only wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

NewDatabase = Callable[[], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for servers: in memory where there is plenty, and short enough for sockets.

    A copy of a database is a thousand files: a disk that others use, too, makes the suite twice as long.
    """
    in_memory = "/dev/shm" if Machine.here().shared_memory > 4 * GB else None
    folder = Path(tempfile.mkdtemp(prefix="linework-test-", dir=in_memory))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(server_folder: Path) -> Iterator[str]:
    """A server on which databases may be made; the database in the URL is for administration only."""
    if url := os.environ.get("LINEWORK_TEST_DATABASE_URL"):
        yield url
    else:
        with embedded_postgres(server_folder) as url:
            yield url


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Iterator[NewDatabase]:
    """Makes empty, migrated databases, for a fixture of any scope: `with new_database() as url`.

    The migrations run once; every further database is a copy, which takes some 30 ms.
    """
    admin = create_engine(postgres_url, poolclass=pool.NullPool, isolation_level="AUTOCOMMIT")
    prefix, numbers = f"linework_test_{os.getpid()}", itertools.count(1)

    def execute(sql: str) -> None:
        with admin.connect() as connection:
            connection.execute(text(sql))

    def url_of(name: str) -> str:
        return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def database(template: str | None = f"{prefix}_template") -> Iterator[str]:
        name = f"{prefix}_{next(numbers)}" if template else f"{prefix}_template"
        execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        try:
            yield url_of(name)
        finally:
            execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    with database(template=None) as template_url:
        command.upgrade(alembic_config(template_url), "head")
        yield database


@pytest.fixture
def database_url(new_database: NewDatabase) -> Iterator[str]:
    """A migrated database of this test's own."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server_url(server_folder: Path, worker_id: str) -> Iterator[str]:
    if url := os.environ.get("LINEWORK_TEST_REDIS_URL"):
        assert worker_id == "master", "processes would flush one another's Redis: run the tests in one (-n0)"
        yield url
    else:
        with embedded_redis(server_folder) as url:
            yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """A Redis with nothing in it."""
    with Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture
def object_store_url(tmp_path: Path) -> str:
    return (tmp_path / "objects").as_uri()


@pytest.fixture
def own_servers(database_url: str, redis_url: str, object_store_url: str) -> dict[str, str]:
    """Settings that name servers, or parts of servers, of this test's own."""
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "OBJECT_STORE_URL": object_store_url}


@pytest.fixture
def engine(settings: Settings) -> Engine:
    """By the settings, which every area has of its own."""
    return db.get_engine()


@pytest.fixture
def objects(settings: Settings) -> ObjectStore:
    return store.get_store()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """For arranging and looking; what it does is committed by the test."""
    with db.session_factory(engine)() as opened:
        yield opened


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data. Skips the test where there is none."""
    folder = os.environ.get("LINEWORK_DATA")
    if not folder:
        pytest.skip("LINEWORK_DATA names no folder with real data")
    return Path(folder)
