"""Readers of patents' packages: what a source holds becomes records, one after another.

`read` finds out what a source is. It streams: memory and temporary disk hold one package, whatever the size of
the source. A fault of a record is yielded and never raised; what is raised is that the source itself cannot be
reached (Unavailable) or read.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice

import structlog

from linework_api.ingest.formats import packages
from linework_api.ingest.formats.faults import PASSED, REASONS, Found
from linework_api.ingest.formats.limits import Limits
from linework_api.ingest.sources import Source
from linework_core.errors import LineworkError
from linework_core.records import Passed, ReadTo, Rejected

__all__ = ["PASSED", "REASONS", "Found", "Limits", "read", "read_on"]
log = structlog.get_logger()


def read(source: Source, *, images: Source | None = None, limits: Limits | None = None) -> Iterator[Found]:
    """The records of a weekly tar, a package (ZIP or folder), a DeepPatent2 JSON, full-text XML, or a folder of
    any of these, by name and so by date.

    `images` is a folder or tar with the images of a JSON; without it they are looked for beside the JSON. The
    `read` of a sheet or drawing gives its original bytes until the next record is asked for, and raises
    UnreadableImage where they are damaged. A weekly package that was read to its end gives a PackageRead.
    """
    for found in read_on(source, images=images, limits=limits):
        if not isinstance(found, ReadTo):
            yield found


def read_on(
    source: Source,
    *,
    images: Source | None = None,
    limits: Limits | None = None,
    after: ReadTo | None = None,
    every: int = 16,
) -> Iterator[Found | ReadTo]:
    """As `read`, with marks from which another run can go on: behind a package, whenever `every` more have been found.
    A source that is not the one that was marked, by the names of its packages, is read from its beginning; a mark
    behind no package says so.
    """
    found = packages.find(source, images, limits or Limits())
    done = list(islice(found, after.packages)) if after else []
    if after and (len(done) < after.packages or _text(done[-1].name) != after.name):
        found, done = chain(done, found), []
        yield ReadTo(0, "")
    given = 0
    for number, package in enumerate(found, len(done) + 1):
        for one in _whatever_it_holds(package):
            yield _printable(one)
            given += 1
        if given >= every:
            yield ReadTo(number, _text(package.name))
            given = 0


def _whatever_it_holds(package: packages.Package) -> Iterator[Found]:
    """What a package holds; a fault of its reader costs the rest of this package only: it would come again with each
    try of the job. What a store, a disk or a source fails on may be better by then, and is raised.
    """
    try:
        yield from package.read()
    except (LineworkError, OSError, sqlite3.Error):
        raise
    except Exception as error:  # RecursionError and MemoryError among them
        log.exception("package-unreadable", package=_text(package.name))
        yield Rejected(package.name, "unreadable-record", f"{type(error).__name__}: {error}")


def _printable(found: Found) -> Found:
    """Names of files may hold bytes that are no text; databases take text only."""
    if isinstance(found, Rejected):
        return replace(found, name=_text(found.name), detail=_text(found.detail))
    return replace(found, name=_text(found.name)) if isinstance(found, Passed) else found


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace("\0", "")
