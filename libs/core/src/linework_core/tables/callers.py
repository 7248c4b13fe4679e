"""Callers: their keys, and what they did. The gateway and the `keys` command write them."""

import datetime as dt
import uuid
from decimal import Decimal

from sqlalchemy import CHAR, Index, Numeric, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import Base, row_key

PREFIX = 12  # hex digits of a key's hash by which it is looked up; all of it is then compared in constant time


class ApiKey(Base):
    """A key of a caller. Several may bear one name while one replaces another: jobs and searches belong to the name.

    A key is 256 random bits, so that SHA-256 hides it: there is nothing to guess that a slow hash would protect.
    """

    __tablename__ = "api_keys"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(index=True)
    prefix: Mapped[str] = mapped_column(CHAR(PREFIX), index=True)
    digest: Mapped[str] = mapped_column(CHAR(64), unique=True)
    scopes: Mapped[list[str]]
    rate_per_minute: Mapped[int | None]  # None: the setting's
    searches_per_day: Mapped[int | None]
    llm_usd_per_month: Mapped[Decimal | None] = mapped_column(Numeric)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    expires_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]  # within a minute


class AuditEntry(Base):
    """A call that changed something, or read the record of a search. Never its body, never a key."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_of_caller", "caller", "id"),)
    id: Mapped[int] = row_key()
    at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), index=True)
    caller: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    method: Mapped[str]
    route: Mapped[str]
    subject: Mapped[str | None]  # id of what it was done to, or of what came of it
    status: Mapped[int] = mapped_column(SmallInteger)
    request_id: Mapped[str | None]
