"""Opaque cursors: where a listing goes on."""

import base64
import binascii
import datetime as dt
import json
from typing import Any
from uuid import UUID

from linework_core.errors import Unprocessable


def encode(*position: Any) -> str:
    """A cursor for a position made of plain values."""
    return base64.urlsafe_b64encode(json.dumps(position, default=str).encode()).decode().rstrip("=")


def decode(cursor: str, size: int) -> list[Any]:
    """The position that a cursor stands for. Raises Unprocessable for what is none of ours."""
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        position = None
    if not isinstance(position, list) or len(position) != size:
        raise Unprocessable("This cursor is none that we gave.")
    return position


def decode_place(cursor: str) -> tuple[dt.datetime, UUID]:
    """The time and the id that a cursor stands for. Raises Unprocessable."""
    time, identity = decode(cursor, 2)
    try:
        # in UTC, since Postgres takes no offsets beyond 16 hours and Python does
        return dt.datetime.fromisoformat(time).astimezone(dt.UTC), UUID(identity)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise Unprocessable("This cursor is none that we gave.") from None
