"""A batch as a file."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from linework_api.batches.schemas import BatchAnswer
from linework_api.search import exports

HEAD = ("ordinal", "query", "state", "reason", "before", "eligible")


def to_csv(batch: Iterable[BatchAnswer]) -> Iterator[bytes]:
    """A line for each hit, and one for each query that has none; as a search's own CSV, query by query."""
    yield _lines([[*HEAD, *exports.NAMES]]).encode("utf-8-sig")
    for one in batch:
        yield _lines(_rows(one)).encode()


def _rows(one: BatchAnswer) -> Iterator[list[Any]]:
    answer = one.answer
    head = [one.ordinal, one.query, one.state, one.reason]
    head += [None, None] if answer is None else [answer.before and answer.before.isoformat(), answer.eligible]
    if answer is None or not answer.hits:
        yield head + [None] * len(exports.NAMES)
        return
    for hit in answer.hits:
        yield head + exports.row(hit)


def _lines(rows: Iterable[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([exports.harmless(value) for value in row] for row in rows)
    return out.getvalue()
