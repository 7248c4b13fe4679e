"""What all tests of the trainer share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from linework_core.settings import Settings
from tests.configured import configured


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks gain nothing by threads, and on a busy machine lose a hundredfold by waiting for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    values = {
        "LEASE_SECONDS": "30", "CACHE_DIR": str(tmp_path / "cache"), "TRAIN_LOADERS": "0", "LINEWORK_COMMIT": "abc123",
    }  # fmt: skip
    with configured(monkeypatch, own_servers | values) as settings:
        yield settings
