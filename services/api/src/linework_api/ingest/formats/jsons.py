"""Records from JSON, as a stream: an array, JSON lines, or objects one after another."""

import json
from collections.abc import Iterator
from typing import Any, Protocol

import ijson

from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.limits import Limits

BROKEN = (ijson.JSONError, ValueError, RecursionError)


def values(metered: "Metered", limits: Limits) -> Iterator[tuple[int, Any | Fault]]:
    """The records of a file with their ordinals from 1 on; in JSON lines a broken line gives its Fault.

    Raises Fault 'bad-json' or 'too-large' where an array breaks; what came before has been yielded.
    """
    head = metered.peek(limits.json_record)
    if head.startswith(b"{") and any(_is_object(line) for line in head.split(b"\n")[:4]):
        yield from _lines(metered, limits)
        return
    many = head.startswith(b"{")
    try:
        items = ijson.items(metered, "" if many else "item", multiple_values=many, use_float=True)
        for ordinal, item in enumerate(items, start=1):
            metered.since_last = 0
            yield ordinal, item
    except BROKEN as error:
        raise Fault("bad-json", f"The JSON is not well-formed: {str(error)[:300]}") from None


def _lines(file: "Metered", limits: Limits) -> Iterator[tuple[int, Any | Fault]]:
    for ordinal, line in enumerate(file.lines(), start=1):
        if len(line) > limits.json_record:
            yield ordinal, Fault("too-large", f"The line has more than {limits.json_record:,} bytes.")
        elif line.strip():
            try:
                yield ordinal, json.loads(line)
            except BROKEN as error:
                yield ordinal, Fault("bad-json", f"The line is not well-formed: {str(error)[:300]}")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except BROKEN:
        return False


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Metered:
    """A stream without byte-order mark and leading space, which stops at a record that has no end."""

    def __init__(self, file: Readable, limits: Limits) -> None:
        self._file, self._limits = file, limits
        self._head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        self.since_last = 0

    def peek(self, most: int) -> bytes:
        """The first lines, or the first `most` bytes."""
        while self._head.count(b"\n") < 4 and len(self._head) < most and (more := self._file.read(65_536)):
            self._head += more
        return self._head

    def read(self, size: int = -1) -> bytes:
        size = size if size >= 0 else 65_536  # ijson asks for 0 bytes to see whether they are bytes
        data, self._head = self._head[:size], self._head[size:]
        data = data or self._file.read(size)
        self.since_last += len(data)
        if self.since_last > self._limits.json_record + 1_000_000:
            raise Fault("too-large", f"A record has more than {self._limits.json_record:,} bytes.")
        return data

    def lines(self) -> Iterator[bytes]:
        """Lines; one that is too long comes cut off behind the limit, and the rest of it is passed over."""
        rest = b""
        too_long = False
        while piece := self._head or self._file.read(65_536):
            self._head = b""
            *whole, last = piece.split(b"\n")
            for line in whole:
                if not too_long:
                    yield rest + line
                rest, too_long = b"", False
            rest = b"" if too_long else rest + last
            if len(rest) > self._limits.json_record:
                yield rest
                rest, too_long = b"", True
        if rest:
            yield rest
