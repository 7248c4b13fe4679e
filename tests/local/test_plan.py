import json
from pathlib import Path

import pytest

from linework_core.settings import Settings
from linework_local.home import Home
from linework_local.machine import GB, Machine
from linework_local.programs import Plan

MACHINE = Machine(8 * GB, 4, 4 * GB)
SERVICES = {"embedder", "api", "ingest", "embed", "enrich", "trainer", "beat"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def plan(folder: Path, port: int = 8000, **settings: object) -> Plan:
    return Plan.make(Home.at(folder), port, Settings(_env_file=None, **settings))  # type: ignore[call-arg, arg-type]


def names(made: Plan) -> set[str]:
    return {program.name for program in made.programs(MACHINE)}


def test_without_settings_everything_is_embedded(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert names(made) == SERVICES | {"postgres", "redis"}
    assert {"DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL", "EMBEDDER_URL"} <= set(made.extra)
    assert made.extra["AUTH"] == "off"


def test_servers_of_ones_own_replace_the_embedded_ones(tmp_path: Path) -> None:
    made = plan(tmp_path, database_url="postgresql://db/x", redis_url="redis://r/0", object_store_url="s3://bucket/x")
    assert names(made) == SERVICES
    assert not {"DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL"} & set(made.extra)


def test_callers_stay_known_where_the_operator_asked_for_it(tmp_path: Path) -> None:
    assert "AUTH" not in plan(tmp_path, auth="on").extra


def test_folders_that_the_operator_allowed_stay_allowed(tmp_path: Path) -> None:
    roots = json.loads(plan(tmp_path, ingest_roots=["s3://weekly/uspto"]).extra["INGEST_ROOTS"])
    assert roots == ["s3://weekly/uspto", (tmp_path / "inbox").as_uri(), (tmp_path / "demo").as_uri()]


def test_another_setting_or_port_is_another_identity(tmp_path: Path) -> None:
    same, port, setting = plan(tmp_path), plan(tmp_path, port=8001), plan(tmp_path, log_level="DEBUG")
    assert plan(tmp_path).identity == same.identity
    assert len({same.identity, port.identity, setting.identity}) == 3


def test_another_key_of_a_provider_is_another_identity_and_no_key_is_in_it(tmp_path: Path) -> None:
    one, other = plan(tmp_path, llm_api_key="sk-the-first"), plan(tmp_path, llm_api_key="sk-the-second")
    assert one.identity != other.identity
    assert "sk-the" not in one.identity + other.identity
