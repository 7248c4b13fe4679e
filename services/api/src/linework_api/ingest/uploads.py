"""Uploads, streamed into the object store: neither memory nor temporary disk grows with their size."""

import hashlib
import uuid
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import obstore
import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from obstore.store import ObjectStore

from linework_core import store
from linework_core.errors import BadRequest, TooLarge, Unprocessable

log = structlog.get_logger()

PARTS = ("file", "images")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file, now an object under `key`."""

    key: str
    name: str
    sha256: str


class UploadReader:
    """Reads one multipart request; `uploads` holds what has arrived whole."""

    def __init__(self, objects: ObjectStore, limit: int, parts: Sequence[str] = PARTS) -> None:
        self.objects = objects
        self.limit = limit
        self.parts = parts
        self.uploads: dict[str, Upload] = {}
        self._keys: list[str] = []  # of all objects begun

    async def read(self, request: Request) -> dict[str, Upload]:
        """The parts, 'file' at least. Raises BadRequest, Unprocessable, TooLarge or Unavailable; keeps nothing then."""
        try:
            await self._read(request)
            if "file" not in self.uploads:
                raise Unprocessable("The form needs a part named 'file' with a file in it.")
        except BaseException:
            await run_in_threadpool(self.discard)
            raise
        return self.uploads

    async def used_by(self, work: Awaitable[T]) -> T:
        """What is made of the uploads before there is a job; where that fails, nothing is kept."""
        try:
            return await work
        except BaseException:
            await run_in_threadpool(self.discard)
            raise

    async def _read(self, request: Request) -> None:
        _, options = parse_options_header(request.headers.get("content-type", ""))
        if not options.get("boundary"):
            raise BadRequest("The multipart request names no boundary.")
        part: _Part | None = None
        try:
            parser = PushMultipartParser(options["boundary"], max_segment_count=8)
            async for chunk in request.stream():
                for event in parser.parse(chunk):
                    part = await self._take(part, event)
            parser.close()
        except MultipartError as error:
            raise BadRequest(f"The multipart request is malformed: {error}") from None
        finally:
            if part is not None:
                with suppress(*store.FAILURES):  # it is closed, or its store has just failed
                    await part.writer.close()

    async def _take(self, part: "_Part | None", event: MultipartSegment | bytearray | None) -> "_Part | None":
        if isinstance(event, MultipartSegment):
            return self._open(event)
        if part is None:
            return None
        if event is None:
            with store.writing("the upload"):
                await part.writer.close()
            self.uploads[part.field] = part.finished()
            return None
        part.size += len(event)
        if part.size > self.limit:
            raise TooLarge(f"An upload may have {self.limit:,} bytes; larger files are ingested by their URI.")
        part.digest.update(event)
        with store.writing("the upload"):
            await part.writer.write(bytes(event))
        return part

    def _open(self, segment: MultipartSegment) -> "_Part":
        if segment.name not in self.parts or not segment.filename:
            names = " and ".join(f"'{part}'" for part in self.parts)
            raise Unprocessable(f"The form may have the files {names}, and nothing else.")
        if segment.name in self.uploads:
            raise Unprocessable(f"The form has two parts named '{segment.name}'.")
        key = f"uploads/{uuid.uuid4().hex}"
        self._keys.append(key)
        return _Part(segment.name, segment.filename, key, obstore.open_writer_async(self.objects, key))

    def discard(self) -> None:
        """Delete what was stored; the request failed, or was one that came before."""
        for key in self._keys:
            try:
                store.delete(self.objects, key)
            except store.FAILURES as error:
                log.warning("upload_not_deleted", key=key, error=str(error).splitlines()[0])


@dataclass(slots=True)
class _Part:
    field: str
    filename: str
    key: str
    writer: Any
    size: int = 0
    digest: Any = None

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def finished(self) -> Upload:
        return Upload(self.key, self.filename.replace("\x00", "")[:200], self.digest.hexdigest())
