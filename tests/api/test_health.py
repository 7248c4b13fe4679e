"""Health tells the truth: which part is down, soon, and whether the process itself lives."""

import json
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from alembic import command
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core import encoders
from linework_core.db import alembic_config
from linework_core.settings import Settings, get_settings
from linework_embedder.app import create_app as create_embedder
from linework_local.postgres import embedded_postgres
from linework_vision import load as load_encoder
from tests.api.conftest import problem_of
from tests.api.serving import serving
from tests.waiting import PATIENCE, until


@pytest.fixture
def embedder(environment: Settings, session: Session) -> Iterator[None]:
    """A real one, where the gateway looks for it."""
    encoders.ensure_active(session, load_encoder("debug:8").manifest)
    session.commit()
    with serving(create_embedder(), socket=Path(environment.embedder_url.removeprefix("unix://"))):
        yield


def parts_of(client: TestClient) -> dict[str, bool]:
    """Which parts answer, as readiness tells; its status must agree."""
    response = client.get("/health/ready")
    answer = response.json()
    assert response.status_code == (200 if answer["ready"] else 503)
    assert answer["ready"] == all(state == "ok" for state in answer["parts"].values())
    return {part: state == "ok" for part, state in answer["parts"].items()}


def test_a_gateway_whose_parts_answer_is_ready(embedder: None, client: TestClient) -> None:
    assert parts_of(client) == {"postgres": True, "redis": True, "embedder": True}


def test_an_embedder_that_is_down_is_named(client: TestClient) -> None:
    assert parts_of(client) == {"postgres": True, "redis": True, "embedder": False}
    assert client.get("/health/live").status_code == 200


def test_a_redis_that_is_down_is_named(
    embedder: None, environment: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/none.sock?db=0")
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        assert parts_of(client) == {"postgres": True, "redis": False, "embedder": True}
        assert client.get("/health/live").status_code == 200


def test_a_schema_of_another_release_is_told(client: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    parts = client.get("/health/ready").json()["parts"]
    assert "revision" in parts["postgres"]


def test_the_schema_of_a_newer_release_serves_this_one_too(client: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of-a-later-release'"))
    assert client.get("/health/ready").json()["parts"]["postgres"] == "ok"


@contextmanager
def lasting(folder: Path) -> Iterator[str]:
    """A throwaway server whose data is on disk when it ends; else its last commits may be lost."""
    with embedded_postgres(folder) as url:
        yield url
        with create_engine(url, poolclass=NullPool).connect() as connection:
            connection.execute(text("CHECKPOINT"))


@pytest.fixture
def own_database(environment: Settings, monkeypatch: pytest.MonkeyPatch, server_folder: Path) -> Path:
    """The folder of a server of this test's own, migrated and now stopped; the gateway is told of it."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=server_folder))
    with lasting(folder) as url:
        command.upgrade(alembic_config(url), "head")
    monkeypatch.setenv("DATABASE_URL", url)
    get_settings.cache_clear()
    return folder


def test_a_postgres_that_goes_is_named_and_its_return_is_noticed(own_database: Path, environment: Settings) -> None:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        with lasting(own_database):
            until(lambda: parts_of(client)["postgres"])
            assert client.get("/corpus").status_code == 200
        until(lambda: not parts_of(client)["postgres"])  # it was measured a second ago
        assert client.get("/health/live").status_code == 200
        for method, path in [("GET", "/corpus"), ("GET", "/jobs"), ("GET", "/search?drawing=a"), ("POST", "/embed")]:
            response = client.request(method, path, json={} if method == "POST" else None)
            problem_of(response, 503, "unavailable")
            assert int(response.headers["retry-after"]) > 0
        problem_of(client.post("/ingest", files={"file": ("a.zip", b"x")}), 503, "unavailable")
        with lasting(own_database):
            until(lambda: parts_of(client)["postgres"])
            assert client.get("/jobs").json() == {"jobs": [], "next": None}


def test_who_follows_a_job_outlives_a_database_that_goes(own_database: Path, environment: Settings) -> None:
    with serving(create_app()) as url, ExitStack() as opened:
        with lasting(own_database):
            job = httpx.post(f"{url}/ingest", files={"file": ("a.zip", b"x")}).headers["location"]
            stream = opened.enter_context(httpx.stream("GET", f"{url}{job}/events", timeout=PATIENCE))
            states = (json.loads(line[5:])["state"] for line in stream.iter_lines() if line.startswith("data:"))
            assert next(states) == "queued"
        time.sleep(2)  # it looks once a second
        with lasting(own_database):
            assert httpx.delete(f"{url}{job}").json()["state"] == "cancelled"
            assert list(states) == ["cancelled"]


@pytest.fixture
def hung(environment: Settings, monkeypatch: pytest.MonkeyPatch, server_folder: Path) -> Iterator[None]:
    """Postgres, Redis and embedder take connections and never answer."""
    sockets = {name: server_folder / name for name in (".s.PGSQL.5432", "hung-redis", "hung-embedder")}
    monkeypatch.setenv("DATABASE_URL", f"postgresql://linework@/linework?host={server_folder}")
    monkeypatch.setenv("REDIS_URL", f"unix://{sockets['hung-redis']}?db=0")
    monkeypatch.setenv("EMBEDDER_URL", f"unix://{sockets['hung-embedder']}")
    get_settings.cache_clear()
    with ExitStack() as opened:
        for path in sockets.values():
            listener = opened.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(64)
            opened.callback(path.unlink)
        yield


def test_parts_that_hang_are_named_while_the_process_lives(hung: None, threads: ThreadPoolExecutor) -> None:
    with serving(create_app()) as url:
        waiting = [threads.submit(httpx.get, f"{url}/corpus", timeout=PATIENCE) for _ in range(4)]
        ready = threads.submit(httpx.get, f"{url}/health/ready", timeout=PATIENCE)
        time.sleep(0.5)
        assert httpx.get(f"{url}/health/live", timeout=4).status_code == 200
        answer = ready.result()
        assert answer.status_code == 503
        assert sorted(answer.json()["parts"]) == ["embedder", "postgres", "redis"]
        assert "ok" not in answer.json()["parts"].values()
        for response in waiting:
            problem_of(response.result(), 503, "unavailable")


def test_a_flood_of_probes_costs_one_measurement_a_second(
    embedder: None, environment: Settings, threads: ThreadPoolExecutor
) -> None:
    with serving(create_app()) as url, httpx.Client(base_url=url, timeout=PATIENCE) as caller:
        ask = partial(caller.get, "/health/ready")
        until(lambda: ask().status_code == 200)
        pictures, began = pictures_embedded(), time.monotonic()
        answers = [answer.result().status_code for answer in [threads.submit(ask) for _ in range(200)]]
        assert answers == [200] * 200
        assert pictures_embedded() - pictures <= time.monotonic() - began + 1


def pictures_embedded() -> float:
    told = {"kind": "drawing", "outcome": "embedded"}
    return REGISTRY.get_sample_value("linework_embedder_items_total", told) or 0
