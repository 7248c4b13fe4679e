"""Opaque cursors: where a listing goes on.

A cursor is JSON in base64, and strangers can write their own. So each is read by a type that names all it may hold.
"""

import base64
import datetime as dt
import json
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter, ValidationError

from linework_core.errors import Unprocessable

T = TypeVar("T")


def _in_utc(time: dt.datetime) -> dt.datetime:
    """Postgres takes no offsets beyond 16 hours, Python does; and the first and last day have no other time zones."""
    try:
        return time.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is no time in UTC") from None


Number = Annotated[int, Field(ge=0, lt=2**63)]  # of a row or a snapshot
Ordinal = Annotated[int, Field(ge=0, lt=2**31)]  # of a query in a batch
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
Score = Annotated[float, Field(allow_inf_nan=False)]
Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
PLACE: TypeAdapter[tuple[dt.datetime, UUID]] = TypeAdapter(tuple[Time, UUID])  # in a list by time


def encode(*position: Any) -> str:
    """A cursor for a position made of plain values."""
    text = json.dumps(position, default=str, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, shape: TypeAdapter[T]) -> T:
    """The position that a cursor stands for, if it has this shape: a tuple of the types above. Raises Unprocessable."""
    try:
        return shape.validate_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), strict=True)
    except (ValueError, ValidationError):
        raise Unprocessable("This cursor is none that we gave.") from None
