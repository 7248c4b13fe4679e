"""What runs in a stack, and with which settings."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from linework_core.settings import Settings, sha256
from linework_local.account import tied
from linework_local.home import Home
from linework_local.machine import Machine
from linework_local.postgres import Postgres
from linework_local.redis import Redis
from linework_local.supervision import Program

# limits on connections; and nobody may say that he calls for somebody else
GUARDED = ("--http", "linework_core.guarded:GuardedProtocol", "--no-proxy-headers")


@dataclass(frozen=True, slots=True)
class Plan:
    """The stack to be: its programs, and the settings that it adds to the user's own.

    Whatever of DATABASE_URL, REDIS_URL and OBJECT_STORE_URL the user has set is used as it is; the embedded
    part is then left out (`postgres` or `redis` is None).
    """

    home: Home
    port: int
    settings: Settings
    postgres: Postgres | None
    redis: Redis | None
    extra: Mapping[str, str]

    @classmethod
    def make(cls, home: Home, port: int, settings: Settings | None = None) -> "Plan":
        settings = settings or Settings()
        given = settings.model_fields_set
        postgres = None if "database_url" in given else Postgres(home.postgres_data, home.postgres_socket_folder)
        redis = None if "redis_url" in given else Redis(home.redis_data, home.redis_socket)
        roots = [*settings.ingest_roots, home.inbox.as_uri(), home.demo.as_uri()]
        extra = {
            "EMBEDDER_URL": f"unix://{home.embedder_socket}",
            "INGEST_ROOTS": json.dumps(roots),
            "API_HOST": "127.0.0.1",
            "LINEWORK_HOME": str(home.root),
            "LINEWORK_PORT": str(port),
        }
        if postgres:
            extra["DATABASE_URL"] = postgres.url()
        if redis:
            extra["REDIS_URL"] = redis.url
        if "object_store_url" not in given:
            extra["OBJECT_STORE_URL"] = home.objects.as_uri()
        if "cache_dir" not in given:
            extra["CACHE_DIR"] = str(home.cache)
        if "auth" not in given:
            extra["AUTH"] = "off"  # only this machine can reach the port
        return cls(home, port, settings, postgres, redis, extra)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.extra}

    @property
    def identity(self) -> str:
        """All settings of the processes, keys as hashes. Two stacks of one identity need no restart between them."""
        told = [self.settings.model_dump(mode="json"), dict(self.extra), self._keys()]
        return json.dumps(told, sort_keys=True, default=str)

    def _keys(self) -> list[str | None]:
        settings = self.settings
        given = (settings.llm_api_key, settings.captioner_api_key, settings.internal_token)
        return [None if key is None else sha256(key.get_secret_value()) for key in given]

    def programs(self, machine: Machine) -> list[Program]:
        """The servers that are embedded, and every service."""
        return [*self._servers(), *self._services(machine)]

    def _servers(self) -> list[Program]:
        servers = []
        if self.postgres:
            command = self.postgres.command()
            servers.append(Program("postgres", command, early=True, stop_signal="INT", stop_seconds=60))
        if self.redis:
            servers.append(Program("redis", self.redis.command(), early=True))
        return servers

    def _services(self, machine: Machine) -> list[Program]:
        # The online embedder and the bulk worker share the cores; each would take them all
        threads = {"OMP_NUM_THREADS": str(max(1, machine.cores // 2))}
        one_thread = {"OMP_NUM_THREADS": "1"}
        gateway = ["--host", "127.0.0.1", "--port", str(self.port), "--timeout-graceful-shutdown", "5"]
        return [
            Program(
                "embedder",
                _uvicorn("linework_embedder", "--uds", str(self.home.embedder_socket)),
                environment=threads,
            ),
            Program("api", _uvicorn("linework_api", *gateway), environment=one_thread),
            Program(
                "ingest",
                _celery(
                    *("linework_api.worker", "worker", "-Q", "ingest,search", "-P", "threads", "-c", "2"),
                    *("-n", "ingest@local"),
                ),
                environment=one_thread,
            ),
            Program(
                "embed",
                _celery("linework_embedder.worker", "worker", "-Q", "embed", "-P", "solo", "-n", "embed@local"),
                environment=threads,
            ),
            Program(
                "enrich",
                _celery("linework_enricher.worker", "worker", "-Q", "enrich", "-P", "solo", "-n", "enrich@local"),
                environment=one_thread,
            ),
            Program(
                "trainer",
                _celery(
                    "linework_trainer.worker", "worker", "-Q", "evaluate,train", "-P", "solo", "-n", "trainer@local"
                ),
                environment=threads,
            ),
            Program("beat", tied([sys.executable, "-m", "linework_api.beat"]), environment=one_thread),
        ]


def _uvicorn(package: str, *options: str) -> list[str]:
    return tied([sys.executable, "-m", "uvicorn", "--factory", f"{package}.app:create_app", *GUARDED, *options])


def _celery(application: str, *options: str) -> list[str]:
    return tied([sys.executable, "-m", "celery", "-A", application, *options])
