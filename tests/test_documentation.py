"""What the documentation promises to cover."""

import re
from pathlib import Path

from linework_api.app import create_app
from linework_core.settings import Settings

ROOT = Path(__file__).parent.parent


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_route_tells_what_it_is_for() -> None:
    paths = create_app(Settings(auth="off")).openapi()["paths"]
    routes = {f"{method} {path}": route for path, item in paths.items() for method, route in item.items()}
    silent = [name for name, route in routes.items() if not route.get("description")]
    assert silent == []


def test_what_the_page_on_security_relies_on_is_there() -> None:
    page = (ROOT / "docs/security.md").read_text()
    modules = set(re.findall(r"`((?:linework_\w+|tests)/[\w/]+\.py)`", page))
    assert len(modules) >= 5
    missing = {name for name in modules if not (ROOT / name).exists() and not list(ROOT.glob(f"*/*/src/{name}"))}
    assert missing == set()
    settings = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", page))
    assert len(settings) >= 10
    assert settings <= {name.upper() for name in Settings.model_fields}
