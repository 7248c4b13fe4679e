from collections.abc import Iterator

import pytest
from obstore.store import ObjectStore
from sqlalchemy import Engine

from linework_core import db, queues, store
from linework_core import settings as core_settings
from linework_core.settings import Settings, get_settings
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


def forget_settings() -> None:
    """The process reads its settings once; a test with servers of its own reads them anew."""
    for cached in (core_settings.get_settings, db.get_engine, store.get_store, queues._publisher):
        cached.cache_clear()


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str, object_store_url: str, stub: Stub
) -> Iterator[Settings]:
    """Both models are the stub's."""
    values = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OBJECT_STORE_URL": object_store_url,
        "LEASE_SECONDS": "3",
        "LLM": provider_of(stub.url),
        "LLM_API_KEY": KEY,
        "CAPTIONER": provider_of(stub.url, model="stub-vision"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    yield get_settings()
    db.get_engine().dispose()
    forget_settings()


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return db.get_engine()


@pytest.fixture
def objects(settings: Settings) -> ObjectStore:
    return store.get_store()
