"""Where a training stands, so that another process, on another machine, can go on."""

import io
from typing import Any

import structlog
import torch
from obstore.store import ObjectStore

from linework_core import store
from linework_core.errors import NotFound

log = structlog.get_logger()


class KeptState:
    """One object in the store, replaced as a whole: a reader finds the old state or the new one."""

    def __init__(self, objects: ObjectStore, key: str, fingerprint: str) -> None:
        """`fingerprint` tells what is being trained: the state of another training is not gone on with."""
        self._objects, self._key, self._fingerprint = objects, key, fingerprint

    def load(self) -> dict[str, Any] | None:
        """The state kept last, its tensors on the CPU; None where there is none for this training."""
        try:
            data = store.get(self._objects, self._key)
        except NotFound:
            return None
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if state.pop("fingerprint", None) != self._fingerprint:
            log.warning("state_of_another_training", key=self._key)
            return None
        return state

    def save(self, state: dict[str, Any]) -> None:
        """`state` holds tensors, numbers, texts, and lists and dicts of them."""
        data = io.BytesIO()
        torch.save({**state, "fingerprint": self._fingerprint}, data)
        store.put(self._objects, self._key, data.getvalue())

    def delete(self) -> None:
        store.delete(self._objects, self._key)
