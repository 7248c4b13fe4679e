"""What must hold of images and of docker-compose.yml, without running a container."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from linework_core.settings import Settings
from tests.test_architecture import HEAVY, listed, needed

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILES = sorted((ROOT / "services").glob("*/Dockerfile"))
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:[-?])?([^}]*)\}")

# Where a setting is given otherwise than by compose
BY_IMAGE = {"API_HOST", "ALIVE_FILE", "CACHE_DIR"}
NEVER_HERE = {
    "DEBUG_ENCODERS",  # for tests
    "AUTH",  # on, as it is by default: the gateway is not on loopback
    "LLM_API_KEY",  # files with these are mounted instead
    "CAPTIONER_API_KEY",
    "BOOTSTRAP_ADMIN_KEY",
    "INTERNAL_TOKEN",
    "TRAIN_LAUNCHER",  # of Kubernetes
    "TRAIN_TEMPLATE",
}
NOT_OF_LINEWORK = re.compile(r"(AWS|OTEL)_[A-Z_]+|OMP_NUM_THREADS|TMPDIR")


def explained() -> dict[str, str]:
    """The settings in .env.example and their values; a setting that is commented out has one, too."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (re.fullmatch(r"(?:# )?([A-Z_]+)=(.*?)(?: +\(.*\))?", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def asked_for() -> dict[str, set[str]]:
    """Every ${SETTING} in docker-compose.yml with its defaults; those without any, and those handed on as they are."""
    text = "\n".join(re.sub(r"(^|\s)# .*", "", line) for line in (ROOT / "docker-compose.yml").read_text().splitlines())
    found: dict[str, set[str]] = {}
    for name, kind, rest in VARIABLE.findall(text):
        found.setdefault(name, set()).update({rest} if kind == ":-" else ())
    handed_on = {name for service in SERVICES.values() for name, value in environment(service).items() if value is None}
    return {**{name: set() for name in handed_on}, **found}


def environment(service: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = service.get("environment", {})
    return given


def dockerfile(service: dict[str, Any]) -> str:
    return (ROOT / service["build"]["dockerfile"]).read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    if name == "migrate":
        assert service["healthcheck"] == {"disable": True}  # it ends
        assert service["restart"] == "on-failure"
    elif "healthcheck" not in service:
        assert "\nHEALTHCHECK " in dockerfile(service)
        assert "command" not in service  # else the image's check would ask for what does not run


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    tag = re.sub(r"\$\{[^}]*:-([^}]*)\}", r"\1", image).rpartition("/")[2].partition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), image


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_without_rights_and_cannot_write_its_image(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_limits_of_memory_processes_and_cores(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"(\$\{[A-Z]+_MEMORY:-)?\d+[gm]b\}?", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 2048
    assert service["cpus"] == "${CPUS:-4}" or 0 < service["cpus"] <= 2
    for folder in service.get("tmpfs", ()):
        assert re.fullmatch(r"/[a-z/]+:size=\d+[gm],mode=1777", folder), "a folder in memory has a size"


def test_what_can_wait_leaves_the_cores_to_what_is_waited_for() -> None:
    waiting = {"ingest", "enricher", "embed", "trainer", "embed-gpu", "trainer-gpu", "llm"}
    assert {name for name, service in SERVICES.items() if "cpu_shares" in service} == waiting


FRONT, BACK, MODELS, MONITORING = "front", "back", "models", "monitoring"
NETWORKS = {
    "api": {FRONT, BACK},
    "enricher": {BACK, MODELS},
    "llm": {MODELS},
    "prometheus": {BACK, MONITORING},
    "grafana": {MONITORING},
}  # and all others in the back alone


def test_data_and_workers_have_no_way_out() -> None:
    assert COMPOSE["networks"] == {FRONT: {}, BACK: {"internal": True}, MODELS: {}, MONITORING: {}}
    for name, service in SERVICES.items():
        assert set(service["networks"]) == NETWORKS.get(name, {BACK}), name
        assert "ports" not in service or {FRONT, MONITORING} & set(service["networks"]), name


@pytest.mark.parametrize(
    ("file", "let_out"),
    [
        ("model-hubs", {"embedder", "embed", "trainer"}),
        ("remote-object-store", {"ingest", "beat", "embedder", "embed", "trainer"}),
    ],
)
def test_a_way_out_is_opened_for_those_who_need_it(file: str, let_out: set[str]) -> None:
    override = yaml.safe_load((ROOT / f"deploy/compose/{file}.yml").read_text())
    assert override["networks"] == {"outside": {}}
    assert {name.removesuffix("-gpu") for name in override["services"]} == let_out
    assert {name for name in override["services"] if name.endswith("-gpu")} == {
        name for name in SERVICES if name.endswith("-gpu")
    }
    for name, service in override["services"].items():
        as_map = isinstance(SERVICES[name]["networks"], dict)  # podman-compose merges like with like only
        assert service == {"networks": {"outside": {}} if as_map else ["outside"]}


DATABASE, REDIS, OBJECTS = {"DATABASE_URL"}, {"REDIS_URL"}, {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
SECRETS: dict[str, tuple[set[str], set[str]]] = {  # the variables with a secret in them, and the files
    "postgres": ({"POSTGRES_PASSWORD"}, set()),
    "redis": ({"REDISCLI_AUTH"}, set()),
    "migrate": (DATABASE, {"admin_key"}),
    "api": (DATABASE | REDIS | OBJECTS, {"internal_token"}),
    "ingest": (DATABASE | REDIS | OBJECTS, {"internal_token"}),
    "beat": (DATABASE | REDIS | OBJECTS, set()),
    "enricher": (DATABASE | REDIS | OBJECTS, {"llm_api_key", "captioner_api_key"}),
    "embedder": (DATABASE | OBJECTS, {"internal_token"}),
    "embed": (DATABASE | REDIS | OBJECTS, set()),
    "trainer": (DATABASE | REDIS | OBJECTS, set()),
    "s3": ({"GARAGE_RPC_SECRET", "GARAGE_DEFAULT_ACCESS_KEY", "GARAGE_DEFAULT_SECRET_KEY"}, set()),
    "llm": (set(), set()),
    "prometheus": (set(), set()),
    "grafana": (set(), {"grafana_password"}),
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_gets_the_secrets_that_it_uses_and_no_others(name: str) -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|API_KEY|ADMIN_KEY|AUTH$")
    given = environment(SERVICES[name])
    files = {str(value) for value in given.values() if str(value).startswith("/run/secrets/")}
    mounted = set(SERVICES[name].get("secrets", ()))
    assert files == {f"/run/secrets/{one}" for one in mounted}
    variables = {key for key, value in given.items() if secret.search(f"{key} {value}") and str(value) not in files}
    assert (variables, mounted) == SECRETS[name.removesuffix("-gpu")]


def test_no_secret_stands_on_a_command_line() -> None:
    for name, service in SERVICES.items():
        for part in ("command", "entrypoint", "healthcheck"):
            given = {variable for variable, _, _ in VARIABLE.findall(str(service.get(part, "")))}
            assert not [one for one in given if re.search(r"PASSWORD|SECRET|TOKEN|KEY", one)], name


def test_nobody_relies_on_the_order_of_starting() -> None:
    assert [name for name, service in SERVICES.items() if "depends_on" in service] == []


def test_only_loopback_is_published_unless_told_otherwise() -> None:
    published = {port for service in SERVICES.values() for port in service.get("ports", ())}
    assert published == {"${API_ADDRESS:-127.0.0.1}:${API_PORT:-8000}:8000", "127.0.0.1:${GRAFANA_PORT:-3000}:3000"}


def test_no_secret_has_a_default() -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY")
    defaults = {name: given for name, given in asked_for().items() if secret.search(name)}
    assert {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GARAGE_RPC_SECRET"} <= set(defaults)
    assert all(given <= {""} for given in defaults.values())
    assert all(not value for name, value in explained().items() if secret.search(name))
    for secret_file in COMPOSE["secrets"].values():
        assert not (ROOT / secret_file["file"]).exists() or "secrets/" in (ROOT / ".gitignore").read_text()


def test_every_setting_of_our_services_exists() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name, service in OURS.items():
        unknown = {key for key in environment(service) if not NOT_OF_LINEWORK.fullmatch(key)} - known
        assert unknown == set(), name


def test_every_setting_can_be_given() -> None:
    given = {key for service in OURS.values() for key in environment(service)}
    by_image = {name for name in BY_IMAGE if all(f"{name}=" in dockerfile(service) for service in (OURS["api"],))}
    assert {name.upper() for name in Settings.model_fields} - given - by_image == NEVER_HERE


def test_defaults_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    ours = {"OBJECT_STORE_URL", "INGEST_ROOTS", "TRAIN_LOADERS"}  # containers have folders and cores of their own
    defaults = Settings(_env_file=None)
    for name, given in asked_for().items():
        if name.lower() in Settings.model_fields and name not in ours:
            default = getattr(defaults, name.lower())
            for value in given:
                assert value == str(default) or json.loads(value) == default, name


def test_every_setting_of_compose_is_explained_and_every_explained_one_is_used() -> None:
    settings = explained()
    assert set(settings) == set(asked_for()) | {"COMPOSE_PROFILES"}
    for name, defaults in asked_for().items():
        if defaults and name not in ("GARAGE_RPC_SECRET",):
            assert {settings[name]} == defaults, name


def test_gpu_and_cpu_images_differ_in_one_file_of_requirements() -> None:
    pins = [
        [line for line in (ROOT / f"requirements/torch-{kind}.txt").read_text().splitlines() if "==" in line]
        for kind in ("cpu", "cuda")
    ]
    assert [pin for pin in pins[0] if not pin.startswith("#")] == [pin for pin in pins[1] if not pin.startswith("#")]
    for name in ("embedder", "embed", "trainer"):
        cpu, gpu = (SERVICES[each]["build"] for each in (name, "embedder-gpu" if name == "embedder" else f"{name}-gpu"))
        assert cpu["dockerfile"] == gpu["dockerfile"]
        assert (cpu["args"]["TORCH"], gpu["args"]["TORCH"]) == ("cpu", "cuda")
        assert set(re.findall(r"\S*\$TORCH\b\S*", dockerfile(SERVICES[name]))) == {"requirements/torch-$TORCH.txt"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_is_built_apart_and_runs_as_nobody_in_particular(path: Path) -> None:
    text = path.read_text()
    build, final = re.split(r"^FROM .*\n", text, flags=re.MULTILINE)[1:]
    assert re.search(r"^ARG PYTHON=docker\.io/library/python:3\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    assert "pip check" in build
    assert not re.search(r"\bpip\b|apt-get", final)
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "HEALTHCHECK " in final


@pytest.mark.parametrize("service", ["api", "enricher"])
def test_nothing_that_the_image_installs_brings_torch(service: str) -> None:
    text = (ROOT / f"services/{service}/Dockerfile").read_text()
    files = set(re.findall(r"-r requirements/([\w-]+\.txt)", text)) - {"build.txt"}
    assert f"{service}.txt" in files
    assert needed(set().union(*(listed(ROOT / "requirements" / file) for file in files))) & HEAVY == set()
    assert "libs/vision" not in text


def test_the_builder_sees_nothing_but_sources() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {"!requirements/", "!libs/", "!services/"}


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((ROOT / "deploy/monitoring/grafana/dashboards/linework.json").read_text())
    asked = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    names = {name for expression in asked for name in re.findall(r"\blinework_\w+", expression)}
    sources = "\n".join(
        path.read_text() for path in (*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/*/src/**/*.py"))
    )
    made = set(re.findall(r'"(linework_\w+)"', sources))
    unknown = {name for name in names if not {name, re.sub(r"_(bucket|total)$", "", name)} & made}
    assert unknown == set()
    assert {"linework_oldest_waiting_job_seconds", "linework_index_coverage", "linework_jobs_finished_total"} <= names
