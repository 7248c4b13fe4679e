from collections.abc import Iterator

import pytest

from linework_core.settings import Settings
from tests.configured import configured
from tests.enricher.corpus import provider_of
from tests.enricher.rig import KEY
from tests.enricher.stub import Stub, serving_stub


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A model's server that answers well until it is told otherwise."""
    with serving_stub() as stub:
        yield stub


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str], stub: Stub) -> Iterator[Settings]:
    """Both models are the stub's."""
    values = {
        "LEASE_SECONDS": "3",
        "LLM": provider_of(stub.url),
        "LLM_API_KEY": KEY,
        "CAPTIONER": provider_of(stub.url, model="stub-vision"),
    }
    with configured(monkeypatch, own_servers | values) as settings:
        yield settings
