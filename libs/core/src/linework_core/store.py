"""The object store: originals and derivatives under the hash of their content."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import obstore
from obstore.store import ObjectStore, from_url

from linework_core.errors import NotFound, Unavailable

FAILURES = (obstore.exceptions.BaseError, OSError)  # what a store raises


def open_store(url: str) -> ObjectStore:
    """The store at `url` (file:///path or s3://bucket/prefix); a local folder is made where it is missing.

    S3 credentials and endpoint come from the usual AWS_* variables.
    """
    options: dict[str, Any] = {"mkdir": True} if url.startswith("file:") else {}
    return from_url(url, **options)


@cache
def get_store() -> ObjectStore:
    """The process's object store, by the setting."""
    from linework_core.settings import get_settings

    return open_store(get_settings().object_store_url)


def content_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def original_key(sha256: str) -> str:
    return f"originals/{sha256[:2]}/{sha256}"


def derivative_key(derivative: str) -> str:
    return f"derivatives/{derivative[:2]}/{derivative}.png"


def checkpoint_key(sha256: str) -> str:
    return f"checkpoints/{sha256[:2]}/{sha256}.tar"


def artefact_key(sha256: str) -> str:
    """What a training or an evaluation has made: pictures, tables."""
    return f"artefacts/{sha256[:2]}/{sha256}"


@contextmanager
def writing(key: str) -> Iterator[None]:
    """Says in a sentence why a store does not take an object: it is full, read-only, away. Raises Unavailable."""
    try:
        yield
    except FAILURES as error:
        reason = str(error).splitlines()[0]  # what follows is for those who wrote the store
        raise Unavailable(f"The object store does not take {key}. {reason}", retry_after=30) from error


def put_once(store: ObjectStore, key: str, data: bytes) -> None:
    """Write an object whose key tells its content. A second writer changes nothing. Raises Unavailable."""
    with writing(key), suppress(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, key, data, mode="create")


def get(store: ObjectStore, key: str) -> bytes:
    """The object's bytes. Raises NotFound."""
    try:
        return bytes(obstore.get(store, key).bytes())
    except (FileNotFoundError, obstore.exceptions.NotFoundError):
        raise NotFound(f"The object store has no {key}.") from None


def has(store: ObjectStore, key: str) -> bool:
    """Whether the object is there. Raises Unavailable."""
    try:
        obstore.head(store, key)
    except (FileNotFoundError, obstore.exceptions.NotFoundError):
        return False
    except FAILURES as error:
        raise Unavailable(f"The object store does not tell of {key}.", retry_after=30) from error
    return True


def put(store: ObjectStore, key: str, data: bytes) -> None:
    """Write an object, in place of what is there. A reader sees the old one or the new one. Raises Unavailable."""
    with writing(key):
        obstore.put(store, key, data)


def delete(store: ObjectStore, key: str) -> None:
    """Remove an object, if it is there."""
    try:
        obstore.delete(store, key)
    except (FileNotFoundError, obstore.exceptions.NotFoundError):
        return
