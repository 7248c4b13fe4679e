"""Checkpoints in the object store: one tar each, named by its SHA-256, fetched once by each machine that needs it.

`checkpoint:sha256:HEX` names one in an encoder's spec. So whatever serves can load what was trained elsewhere.
"""

import io
import shutil
import tarfile
from pathlib import Path
from uuid import uuid4

import structlog
from obstore.store import ObjectStore

from linework_core import store
from linework_core.errors import NotFound
from linework_core.settings import get_settings
from linework_vision.checkpoint import CARD, CONFIG, WEIGHTS
from linework_vision.errors import BadSpec, WeightsUnavailable

log = structlog.get_logger()
STORED = "sha256:"


def put_checkpoint(objects: ObjectStore, folder: Path) -> str:
    """Store a checkpoint's folder, and return the spec that names it. The same files give the same name."""
    packed = _pack(folder)
    sha256 = store.content_hash(packed)
    store.put_once(objects, store.checkpoint_key(sha256), packed)
    return f"checkpoint:{STORED}{sha256}"


def fetch_checkpoint(name: str, objects: ObjectStore | None = None, cache: Path | None = None) -> Path:
    """The folder of `sha256:HEX` on this machine, fetched from the object store where it is not there yet.

    By default the store and the cache are those of the settings. Raises BadSpec, WeightsUnavailable.
    """
    sha256 = name.removeprefix(STORED)
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise BadSpec(f"'{name}' names no stored checkpoint: 64 hex digits follow 'sha256:'.")
    folder = (cache or get_settings().cache_dir) / "checkpoints" / sha256
    if folder.is_dir():
        return folder
    try:
        packed = store.get(objects or store.get_store(), store.checkpoint_key(sha256))
    except NotFound as error:
        raise WeightsUnavailable(f"The object store has no checkpoint {sha256}.") from error
    if store.content_hash(packed) != sha256:
        raise WeightsUnavailable(f"What the object store has as checkpoint {sha256} is something else.")
    _unpack(packed, folder)
    log.info("checkpoint_fetched", sha256=sha256, bytes=len(packed))
    return folder


def _pack(folder: Path) -> bytes:
    """A tar with nothing in it that the files' content does not say: no times, no owners."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in (CONFIG, WEIGHTS, CARD):
            if (folder / name).exists():
                content = (folder / name).read_bytes()
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    """The folder appears whole or not at all; another process may be quicker."""
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    draft.mkdir(parents=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(draft, filter="data")
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    except tarfile.TarError as error:
        raise WeightsUnavailable(f"The stored checkpoint {folder.name} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
