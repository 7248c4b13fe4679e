"""What all tables share."""

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Identity, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {
        str: String,
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(String),
        dt.datetime: TIMESTAMP(timezone=True),
    }


def row_key() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(), primary_key=True)


OPEN = text("removed_in IS NULL")


class Failure:
    """An attempt that failed; the primary key says at what. It is tried again after a growing pause, never lost."""

    tries: Mapped[int]
    reason: Mapped[str]
    next_try_at: Mapped[dt.datetime]


class Filterable:
    """What a search filters by. It stands beside drawings and beside vectors, so that a filtered scan
    of either needs no join.
    """

    patent_id: Mapped[str]
    office: Mapped[str]
    granted: Mapped[dt.date | None]
    filed: Mapped[dt.date | None]
    priority: Mapped[dt.date | None]
    locarno: Mapped[str | None]
    view: Mapped[str | None]
    added_in: Mapped[int] = mapped_column(BigInteger)
    removed_in: Mapped[int | None] = mapped_column(BigInteger)
