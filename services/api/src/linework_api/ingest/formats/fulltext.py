"""Full-text files: one grant document, or the thousands of a week one after another (`ipg210105.xml`)."""

import re
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from linework_api.ingest.formats import uspto
from linework_api.ingest.formats.faults import Found
from linework_api.ingest.formats.limits import MB, Limits
from linework_api.ingest.formats.zips import PackageFile

START = re.compile(rb"\n(?=<\?xml |<!DOCTYPE )")
LONGEST = 16  # bytes that may begin a document


def read(name: str, file: BinaryIO, limits: Limits) -> Iterator[Found]:
    """The designs' texts, without images. Memory holds one document."""
    for number, data in enumerate(documents(file, limits.xml), start=1):
        where = name if number == 1 else f"{name}, document {number}"
        document = PackageFile(where, len(data), partial(bytes, data))
        yield from uspto.read_document(where, document, None, limits)


def documents(file: BinaryIO, most: int) -> Iterator[bytes]:
    """The documents of a file, split where one begins on a new line: with its XML declaration or, in SGML, with its
    DOCTYPE behind the end of the one before. One longer than `most` comes cut off just behind that.
    """
    rest = b""
    while piece := file.read(MB):
        searched = max(0, len(rest) - LONGEST)
        rest += piece
        while match := START.search(rest, searched):
            searched = match.end()
            if rest.startswith(b"<?xml", match.end()) or rest.find(b"</", 0, match.start()) >= 0:
                yield rest[: min(match.end(), most + 1)]
                rest, searched = rest[match.end() :], 0
        if len(rest) > most + MB:  # keep what tells that it is too long, and enough to find the next start
            rest = rest[: most + 1] + rest[-LONGEST:]
    if rest.strip():
        yield rest[: most + 1]
