"""The rule for what failed: it is tried again after a pause that doubles, from 2 minutes to 17 hours.

A table of failures is a `tables.Failure` whose primary key says what was tried. What may be tried now is what has
no row there with a `next_try_at` to come.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, inspect, literal, literal_column
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_core.tables import Failure

MOST_DOUBLINGS = 10


def record(session: Session, table: type[Failure], failed: Sequence[Mapping[str, Any]]) -> None:
    """Note what failed: of each its key and what there is to say, `reason` first of all, by column.

    Texts are cut to what fits (`storable`). All rows name the same columns.
    """
    if not failed:
        return
    row = insert(table).values(tries=1, next_try_at=_after(literal(1)))
    told = {column.name: column for column in row.excluded if column.name in failed[0] and not column.primary_key}
    tries = table.tries + 1
    upsert = row.on_conflict_do_update(
        index_elements=inspect(table).primary_key, set_={**told, "tries": tries, "next_try_at": _after(tries)}
    )
    session.execute(upsert, [{name: _fitting(value) for name, value in one.items()} for one in failed])


def forget(session: Session, table: type[Failure], *those: ColumnElement[bool]) -> None:
    """What succeeded after all has not failed."""
    session.execute(delete(table).where(*those), execution_options={"synchronize_session": False})


def storable(text: str, length: int = 1000) -> str:
    """Without NUL and halves of surrogate pairs: Postgres takes neither, and a message may repeat what broke us."""
    return text[:length].encode("utf-8", "replace").decode().replace("\0", "?")


def _after(tries: ColumnElement[int]) -> ColumnElement[dt.datetime]:
    minutes = func.power(2, func.least(tries, MOST_DOUBLINGS))
    return func.now() + literal_column("interval '1 minute'").op("*")(minutes)


def _fitting(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
