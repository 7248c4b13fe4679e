"""The contract as it is published: schemathesis against a served gateway with a corpus and an embedder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core import encoders
from linework_core.settings import Settings
from linework_embedder.app import create_app as create_embedder
from linework_vision import load as load_encoder
from tests.api.conftest import Design, draw, load, require_keys, store_pictures, unit
from tests.api.serving import serving

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "schemathesis.toml"
EXAMPLES = 25  # of each route in the fuzzing phase; the coverage phase comes on top


@pytest.fixture
def gateway(environment: Settings, engine: Engine, session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a gateway that asks for keys; its corpus holds a few designs, its embedder is a real one."""
    encoder = encoders.ensure_active(session, load_encoder("debug:8").manifest)
    load(session, encoder, [Design(f"USD000000{n}", [unit(n), unit(n + 100)]) for n in range(1, 6)])
    store_pictures(session, original=draw(800, 500))
    monkeypatch.setenv("RATE_LIMIT_PER_MINUTE", "0")
    require_keys(monkeypatch, anna=["admin"])
    socket = Path(environment.embedder_url.removeprefix("unix://"))
    with serving(create_embedder(), socket=socket), serving(create_app()) as url:
        yield url


@pytest.mark.timeout(900)
def test_the_gateway_keeps_the_contract_that_it_publishes(gateway: str) -> None:
    schemathesis = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)]
    arguments = ["run", f"{gateway}/openapi.json", "--no-color", "--seed=1", f"--max-examples={EXAMPLES}"]
    environment = os.environ | {"LINEWORK_KEY": "anna-key"}
    done = subprocess.run(
        [*schemathesis, *arguments, "--generation-database=none"],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
