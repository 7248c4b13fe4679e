"""Records from JSON, as a stream: an array, JSON lines, or objects one after another."""

import json
import re
from collections.abc import Iterator
from typing import Any, Protocol

import ijson
from ijson.common import ObjectBuilder

from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.limits import Limits

BROKEN = (ijson.JSONError, ValueError)
OPENING, CLOSING = ("start_map", "start_array"), ("end_map", "end_array")
# a text with all that is in it, or a bracket outside of texts; possessive, so that a long text takes no memory
TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def values(metered: "Metered", limits: Limits) -> Iterator[tuple[int, Any | Fault]]:
    """The records of a file with their ordinals from 1 on. One that is nested too deeply gives its Fault, and so does a
    broken line of JSON lines.

    Raises Fault 'bad-json' or 'too-large' where an array breaks; what came before has been yielded.
    """
    head = metered.peek(limits.json_record)
    if head.startswith(b"{") and any(isinstance(_parsed(line, limits), dict) for line in head.split(b"\n")[:4]):
        yield from _lines(metered, limits)
        return
    many = head.startswith(b"{")
    try:
        # not ijson.items: it keeps the path to every open bracket, which takes memory by the square of the depth
        events = ijson.basic_parse(metered, multiple_values=many, use_float=True)
        for ordinal, item in enumerate(_items(events, 0 if many else 1, limits), start=1):
            metered.since_last = 0
            yield ordinal, item
    except BROKEN as error:
        raise Fault("bad-json", f"The JSON is not well-formed: {str(error)[:300]}") from None


def _items(events: Iterator[tuple[str, Any]], around: int, limits: Limits) -> Iterator[Any | Fault]:
    """The values that stand within `around` brackets. One that is nested too deeply is read past and not built."""
    depth, deepest, item = 0, 0, ObjectBuilder()
    for event, value in events:
        depth -= event in CLOSING
        if depth >= around:
            deepest = max(deepest, depth - around + (event in OPENING))
            if deepest <= limits.json_depth:
                item.event(event, value)
            if depth == around and event not in OPENING:
                yield item.value if deepest <= limits.json_depth else _too_deep(limits)
                deepest, item = 0, ObjectBuilder()
        depth += event in OPENING


def _lines(file: "Metered", limits: Limits) -> Iterator[tuple[int, Any | Fault]]:
    for ordinal, line in enumerate(file.lines(), start=1):
        file.since_last = 0
        if len(line) > limits.json_record:
            yield ordinal, Fault("too-large", f"The line has more than {limits.json_record:,} bytes.")
        elif line.strip():
            yield ordinal, _parsed(line, limits)


def _parsed(line: bytes, limits: Limits) -> Any | Fault:
    """The value of a line, or why it has none."""
    try:
        text = line.decode()
        return _too_deep(limits) if _is_too_deep(text, limits.json_depth) else json.loads(text)
    except BROKEN as error:
        return Fault("bad-json", f"The line is not well-formed: {str(error)[:300]}")


def _is_too_deep(text: str, most: int) -> bool:
    """Whether more than `most` brackets are open at once anywhere in a JSON text."""
    if text.count("[") + text.count("{") <= most:
        return False
    depth = 0
    for token in TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > most:
            return True
    return False


def _too_deep(limits: Limits) -> Fault:
    return Fault("too-deep", f"It has values within more than {limits.json_depth} brackets.")


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
        return self._counted(data or self._file.read(size))

    def _counted(self, data: bytes) -> bytes:
        """Raises Fault 'too-large' for more than a record since somebody set `since_last` to 0."""
        self.since_last += len(data)
        if self.since_last > self._limits.json_record + 1_000_000:
            raise Fault("too-large", f"A record has more than {self._limits.json_record:,} bytes.")
        return data

    def lines(self) -> Iterator[bytes]:
        """Lines; one that is too long comes cut off behind the limit, and the rest of it is passed over.

        Raises Fault as `read` does: a row of a table may have many lines.
        """
        rest = b""
        too_long = False
        while piece := self._head or self._file.read(65_536):
            self._head = b""
            *whole, last = piece.split(b"\n")
            for line in whole:
                if not too_long:
                    yield self._counted(rest + line)
                rest, too_long = b"", False
            rest = b"" if too_long else rest + last
            if len(rest) > self._limits.json_record:
                yield self._counted(rest)
                rest, too_long = b"", True
        if rest:
            yield self._counted(rest)
