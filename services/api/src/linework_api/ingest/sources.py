"""Where records are read from: files and folders that the operator allowed, and objects in a store.

A source is opened as a seekable stream, so a tar of 10 GB is never in memory and never copied to disk.
"""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from linework_core.errors import BadRequest, Forbidden, NotFound, Unavailable

BUFFER = 1 << 20  # bytes of one read from a store
SCHEMES = ("file", "s3")


class Source(Protocol):
    """A file or a folder, wherever it lies."""

    @property
    def name(self) -> str:
        """The last part of its path, as a person knows it."""

    @property
    def is_folder(self) -> bool: ...

    def open(self) -> BinaryIO:
        """A seekable stream from the beginning. Raises Forbidden, NotFound, Unavailable."""

    def children(self) -> list["Source"]:
        """What lies in the folder, by name; hidden files (`.DS_Store`) are left out."""

    def child(self, path: str) -> "Source | None":
        """The file at a relative path within the folder, or None. Raises Forbidden for `..` and the like."""

    def folder(self) -> "Source | None":
        """The folder it lies in, or None where a reader must not look beside it."""


def resolve(uri: str, roots: Sequence[str] | None) -> Source:
    """The source that `uri` (`file:///…` or `s3://…`) names, if it lies under one of the operator's roots.

    With `roots` None a person at the shell may name any local path, with or without `file://`.
    Raises BadRequest (another scheme, `..`, no such form), Forbidden (outside the roots), NotFound, Unavailable.
    """
    if "\0" in uri:
        raise BadRequest("A URI has no NUL in it.")
    if roots is None and "://" not in uri:
        return _local(Path(uri), None)
    scheme, bucket, path = _split(uri)
    if scheme == "file":
        allowed = None if roots is None else [_split(r)[2] for r in roots if r.startswith("file:")]
        return _local(Path(path), allowed)
    if not _allowed(uri, roots):
        raise Forbidden(f"{uri} lies outside the places that ingest may read.")
    above = f"s3://{bucket}/{PurePosixPath(path).parent}"
    return _stored(bucket, path.strip("/"), alone=not _allowed(above, roots))


def _allowed(uri: str, roots: Sequence[str] | None) -> bool:
    return roots is None or any(_lies_under(uri, root) for root in roots)


def _split(uri: str) -> tuple[str, str, str]:
    """Scheme, host or bucket, and decoded path of a URI."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:  # unbalanced brackets of an IPv6 address, say
        raise BadRequest(f"This is no URI: {error}.") from None
    if parts.scheme not in SCHEMES:
        raise BadRequest(f"Ingest reads file:// and s3:// URIs, not {parts.scheme or 'a bare path'!r}.")
    if parts.query or parts.fragment:
        raise BadRequest("The URI has a query or a fragment; write ? and # in names as %3F and %23.")
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise BadRequest(f"file://{parts.netloc}/ names another machine; write file:///path.")
    if parts.scheme == "s3" and not parts.netloc:
        raise BadRequest("An s3:// URI names a bucket: s3://bucket/key.")
    path = unquote(parts.path)
    if ".." in PurePosixPath(path).parts or "\0" in path:
        raise BadRequest("The path of the URI leads upwards ('..').")
    return parts.scheme, parts.netloc, path


def _lies_under(uri: str, root: str) -> bool:
    """Compared part by part: s3://bucket/database is not under s3://bucket/data."""
    scheme, bucket, path = _split(uri)
    if urlsplit(root).scheme != scheme:
        return False
    _, root_bucket, root_path = _split(root)
    own, allowed = PurePosixPath(path.strip("/")).parts, PurePosixPath(root_path.strip("/")).parts
    return bucket == root_bucket and own[: len(allowed)] == allowed


# ---- local files -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileSource:
    """A file or folder on this machine. `roots` (real paths) bound where links may lead; None: anywhere."""

    path: Path
    roots: tuple[Path, ...] | None = None
    _above: tuple[Path, ...] = field(default=(), repr=False)  # folders on the way here, against circles of links

    @property
    def name(self) -> str:
        return self.path.name or self.path.resolve().name or "/"

    @property
    def is_folder(self) -> bool:
        return os.path.isdir(self.path)

    def open(self) -> BinaryIO:
        real = self._checked()
        try:
            # not O_NOFOLLOW: `real` has no links; O_NONBLOCK: a pipe must not make us wait for its writer
            handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK)
        except PermissionError:
            raise Forbidden(f"{self.path} may not be read by this process.") from None
        except FileNotFoundError:
            raise NotFound(f"There is no {self.path}.") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Forbidden(f"{self.path} is not a regular file.")
        return os.fdopen(handle, "rb", BUFFER)

    def children(self) -> list[Source]:
        real = self._checked()
        if real in self._above:
            raise Forbidden(f"{self.path} is a link that leads back to a folder above it.")
        try:
            names = sorted(name for name in os.listdir(real) if not name.startswith("."))
        except PermissionError:
            raise Forbidden(f"{self.path} may not be read by this process.") from None
        return [FileSource(self.path / name, self.roots, (*self._above, real)) for name in names]

    def child(self, path: str) -> Source | None:
        parts = _relative(path)
        found = FileSource(self.path.joinpath(*parts), self.roots, self._above)
        return found if os.path.isfile(found.path) else None

    def folder(self) -> Source | None:
        parent = self.path.absolute().parent
        inside = self.roots is None or any(_real(parent).is_relative_to(root) for root in self.roots)
        return FileSource(parent, self.roots) if inside else None

    def _checked(self) -> Path:
        """The real path, links followed. Raises Forbidden if that leaves the roots, or leads round in a circle."""
        real = _real(self.path)
        if self.roots is not None and not any(real.is_relative_to(root) for root in self.roots):
            raise Forbidden(f"{self.path} lies outside the places that ingest may read.")
        return real


def _real(path: Path) -> Path:
    """The path with its links followed. Raises Forbidden for one that leads back to itself."""
    try:
        return path.resolve()
    except (RuntimeError, OSError):  # which of them depends on Python's version
        raise Forbidden(f"{path} is a link that leads back to itself.") from None


def _local(path: Path, roots: Sequence[str] | None) -> Source:
    allowed = None if roots is None else tuple(Path(root).resolve() for root in roots)
    source = FileSource(path, allowed)
    source._checked()  # before looking: who may not read there learns nothing about what is there
    if not os.path.exists(path):
        raise NotFound(f"There is no {path}.")
    return source


# ---- objects in a store ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredSource:
    """An object or a prefix in a store. An upload has `alone` set: nothing beside it is anyone's to read."""

    store: ObjectStore
    key: str
    label: str | None = None  # an upload's own file name
    is_folder: bool = False
    alone: bool = False

    @property
    def name(self) -> str:
        return self.label or PurePosixPath(self.key).name or self.key

    def open(self) -> BinaryIO:
        with _told(self.key):
            reader = obstore.open_reader(self.store, self.key, buffer_size=BUFFER)
        return cast(BinaryIO, io.BufferedReader(_Stored(reader, self.key), BUFFER))

    def children(self) -> list[Source]:
        with _told(self.key):
            listing = obstore.list_with_delimiter(self.store, self.key)
        folders = [StoredSource(self.store, str(key), None, True) for key in listing["common_prefixes"]]
        objects = [StoredSource(self.store, meta["path"]) for meta in listing["objects"]]
        shown = [s for s in [*folders, *objects] if not s.name.startswith(".")]
        return cast(list[Source], sorted(shown, key=lambda source: source.name))

    def child(self, path: str) -> Source | None:
        key = "/".join([*filter(None, [self.key.strip("/")]), *_relative(path)])
        return StoredSource(self.store, key) if _exists(self.store, key) else None

    def folder(self) -> Source | None:
        parent = str(PurePosixPath(self.key).parent)
        return None if self.alone else StoredSource(self.store, "" if parent == "." else parent, None, True)


class _Stored(io.RawIOBase):
    """An object as Python knows files. A failing store raises Unavailable: that is no fault of a record's."""

    def __init__(self, reader: Any, key: str) -> None:
        self._reader, self._key = reader, key

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        with _told(self._key):
            data = self._reader.read(len(buffer))
        buffer[: len(data)] = memoryview(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()


class _told:  # noqa: N801  reads as a sentence: with _told(key)
    """Turns what a store raises into what a caller is told."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise NotFound(f"The object store has no {self.key}.") from None
        if isinstance(error, (PermissionError, PermissionDeniedError, UnauthenticatedError)):
            raise Forbidden(f"The object store does not let this process read {self.key}.") from None
        if isinstance(error, (BaseError, OSError)):
            raise Unavailable(f"The object store does not answer for {self.key}.") from error


def in_store(store: ObjectStore, key: str, name: str) -> Source:
    """An uploaded object under its own file name. Nothing beside it is looked at: that is others' uploads."""
    return StoredSource(store, key, name, alone=True)


def _stored(bucket: str, key: str, alone: bool) -> Source:
    store = from_url(f"s3://{bucket}")
    if key and _exists(store, key):
        return StoredSource(store, key, alone=alone)
    folder = StoredSource(store, key, None, is_folder=True)
    if not folder.children():
        raise NotFound(f"There is nothing at s3://{bucket}/{key}.")
    return folder


def _exists(store: ObjectStore, key: str) -> bool:
    try:
        with _told(key):
            obstore.head(store, key)
    except NotFound:
        return False
    return True


def _relative(path: str) -> list[str]:
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part != "."]
    if not parts or ".." in parts or "\0" in path or parts[0].startswith("/"):
        raise Forbidden(f"{path!r} does not lie within its folder.")
    return parts


def walk(folder: Source) -> Iterator[tuple[str, Source]]:
    """All files under a folder with their relative paths, depth first, by name; what may not be listed is left out."""
    try:
        children = folder.children()
    except (Forbidden, NotFound):
        return
    for child in children:
        if child.is_folder:
            for path, source in walk(child):
                yield f"{child.name}/{path}", source
        else:
            yield child.name, child
