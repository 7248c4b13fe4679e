"""What must hold of the parts: the API's image has no torch in it, and its routes are the contract's."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from linework_api.app import create_app
from linework_core.settings import Settings

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "timm", "open-clip-torch", "linework-vision"}
ROUTES = """
GET /search, POST /search, GET /searches/{search_id}
POST /ingest, DELETE /patents/{patent_id}
POST /embed, GET /encoders, POST /encoders, POST /encoders/{encoder_id}/activate
DELETE /encoders/{encoder_id}
POST /train, POST /evaluate, GET /evaluations/{evaluation_id}
GET /jobs, GET /jobs/{job_id}, GET /jobs/{job_id}/events, DELETE /jobs/{job_id}
GET /corpus, GET /patents/{patent_id}, GET /drawings/{drawing_id}, GET /drawings/{drawing_id}/image
GET /health/live, GET /health/ready
"""


def listed(file: Path) -> set[Requirement]:
    """What a requirements file asks for, with the files that it includes."""
    found: set[Requirement] = set()
    for line in file.read_text().splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line.startswith("-r "):
            found |= listed(file.parent / line.removeprefix("-r ").strip())
        elif line and not line.startswith("-"):
            found.add(Requirement(line))
    return found


def needed(requirements: set[Requirement]) -> set[str]:
    """Names of all packages that installing these brings in, as the installed ones tell."""
    names: set[str] = set()
    waiting = [(one.name, frozenset(one.extras)) for one in requirements]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        names.add(canonicalize_name(name))
        for text in metadata.requires(name) or ():
            other = Requirement(text)
            wanted = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if other.marker is None or any(other.marker.evaluate(environment) for environment in wanted):
                waiting.append((other.name, frozenset(other.extras)))
    return names


@pytest.mark.parametrize("image", ["api", "enricher"])
def test_the_requirements_of_the_image_hold_no_torch(image: str) -> None:
    requirements = listed(ROOT / "requirements" / f"{image}.txt")
    assert {"fastapi", "sqlalchemy", "celery"} <= {canonicalize_name(one.name) for one in requirements}
    assert needed(requirements) & HEAVY == set()


def test_neither_api_nor_enricher_declares_a_package_that_needs_torch() -> None:
    services = {Requirement("linework-api"), Requirement("linework-enricher"), Requirement("linework-core")}
    assert needed(services) & HEAVY == set()


IMPORTS = """
import importlib, pkgutil, sys
for name in ("linework_api", "linework_core"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if ".migrations." not in module.name:
            importlib.import_module(module.name)
assert {"linework_api.app", "linework_api.worker", "linework_api.beat"} <= set(sys.modules)
heavy = {"torch", "torchvision", "timm", "open_clip", "linework_vision", "linework_embedder"}
print(sorted(heavy & set(sys.modules)))
"""


def test_importing_the_api_and_its_workers_imports_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("route", [route.strip() for line in ROUTES.split("\n") for route in line.split(",") if route])
def test_the_routes_of_the_contract_exist(route: str) -> None:
    method, path = route.split()
    paths = create_app(Settings(auth="off")).openapi()["paths"]
    assert method.lower() in paths[path]


def test_a_job_is_answered_with_202_and_its_place() -> None:
    paths = create_app(Settings(auth="off")).openapi()["paths"]
    posts = [("post", path) for path in ("/ingest", "/embed", "/enrich", "/train", "/evaluate")]
    for method, path in [*posts, ("delete", "/patents/{patent_id}")]:
        operation = paths[path][method]
        assert "Location" in operation["responses"]["202"]["headers"]
        assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}


def test_every_operation_documents_its_problems() -> None:
    for path, methods in create_app(Settings(auth="off")).openapi()["paths"].items():
        for operation in methods.values() if not path.startswith("/health") else ():
            refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert {"401", "403", "422", "503"} <= set(refusals), path
            for answer in refusals.values():
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, path
