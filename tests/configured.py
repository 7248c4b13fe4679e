"""The process reads its settings once; a test with servers of its own reads them anew."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from linework_core import db, queues, store
from linework_core.settings import Settings, get_settings


def forget_settings() -> None:
    """Settings, and all that was made by them."""
    for cached in (get_settings, db.get_engine, store.get_store, queues._publisher):
        cached.cache_clear()


@contextmanager
def configured(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> Iterator[Settings]:
    """The settings that these variables of the environment make, for this process and those it starts."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    yield get_settings()
    db.get_engine().dispose()
    forget_settings()
