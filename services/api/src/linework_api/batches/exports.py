"""A batch as a file."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from linework_api.batches import results
from linework_api.batches.schemas import BatchAnswer
from linework_api.search import exports
from linework_core.db import transaction

AT_ONCE = 50  # queries in one transaction
HEAD = ("ordinal", "query", "state", "reason", "before", "eligible")


def head() -> bytes:
    """The names of the columns."""
    return _lines([[*HEAD, *exports.NAMES]]).encode("utf-8-sig")


def page(engine: Engine, job_id: UUID, *, owner: str | None, after: int) -> tuple[bytes, int | None]:
    """The lines of the queries behind the one with the number `after`, and the number to go on from, if any.

    A line for each hit, and one for each query that has none; as a search's own CSV. Raises NotFound.
    """
    with transaction(engine) as session:
        _, params = results.find(session, job_id, owner=owner)
        answers = results.answers(session, job_id, params, after=after, limit=AT_ONCE)
    lines = _lines(row for one in answers for row in _rows(one)).encode()
    return lines, answers[-1].ordinal if len(answers) == AT_ONCE else None


def _rows(one: BatchAnswer) -> Iterator[list[Any]]:
    answer = one.answer
    facts = [one.ordinal, one.query, one.state, one.reason]
    facts += [None, None] if answer is None else [answer.before and answer.before.isoformat(), answer.eligible]
    if answer is None or not answer.hits:
        yield facts + [None] * len(exports.NAMES)
        return
    for hit in answer.hits:
        yield facts + exports.row(hit)


def _lines(rows: Iterable[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([exports.harmless(value) for value in row] for row in rows)
    return out.getvalue()
