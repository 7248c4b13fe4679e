"""Who else may read the record of a search: callers by name, or everyone who may search."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from linework_api.auth import Caller
from linework_api.search import repository
from linework_core.errors import Forbidden, NotFound, Unprocessable
from linework_core.tables import ApiKey, Search, SearchShare

EVERYONE = "everyone"
MOST = 1_000  # shares of a record, those that were revoked included
With = Annotated[
    str,
    Field(
        alias="with",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$",
        description="A caller's name, or 'everyone' who may search.",
    ),
]


class ShareRequest(BaseModel):
    """With whom a search is shared."""

    model_config = ConfigDict(extra="forbid")

    reader: With


class Share(BaseModel):
    """Somebody who may read the record, or could until `revoked_at`."""

    reader: With
    shared_at: dt.datetime
    shared_by: str
    revoked_at: dt.datetime | None
    revoked_by: str | None

    @classmethod
    def of(cls, row: SearchShare) -> "Share":
        facts = {name: getattr(row, name) for name in cls.model_fields if name != "reader"}
        return cls.model_validate({"with": row.caller or EVERYONE, **facts})


class Shares(BaseModel):
    shares: list[Share]


def find_readable(session: Session, search_id: UUID, caller: Caller) -> Search:
    """A record for its owner, an admin, or whom it is shared with. Raises NotFound, also where it is not for them."""
    record = repository.find_search(session, search_id)
    if record is None or not (_owns(caller, record) or _is_shared(session, search_id, caller)):
        raise NotFound(f"There is no search {search_id}.")
    return record


def find_own(session: Session, search_id: UUID, caller: Caller) -> Search:
    """A record for its owner or an admin. Raises NotFound, and Forbidden for those who may only read it."""
    record = find_readable(session, search_id, caller)
    if not _owns(caller, record):
        raise Forbidden("A search is shared by its owner and admins only.")
    return record


def share(session: Session, record: Search, reader: str, *, by: str) -> Share:
    """Let somebody read a record; again, it changes nothing. Raises Unprocessable for a caller that nobody knows."""
    session.execute(select(Search.id).where(Search.id == record.id).with_for_update())  # one at a time
    row = _open(session, record.id, reader)
    if row is None:
        if reader != EVERYONE and not session.scalar(select(exists().where(ApiKey.name == reader))):
            raise Unprocessable(f"There is no caller {reader}.")
        number = select(func.count()).select_from(SearchShare).where(SearchShare.search_id == record.id)
        if (session.scalar(number) or 0) >= MOST:
            raise Unprocessable(f"A search is shared {MOST:,} times at most.")
        row = SearchShare(search_id=record.id, caller=_column(reader), shared_by=by)
        session.add(row)
        session.flush()
        session.refresh(row)
    return Share.of(row)


def revoke(session: Session, record: Search, reader: str, *, by: str) -> Share:
    """From now on they may not read it. Raises NotFound where it is not shared with them."""
    row = _open(session, record.id, reader)
    if row is None:
        raise NotFound(f"This search is not shared with {reader}.")
    row.revoked_at, row.revoked_by = dt.datetime.now(dt.UTC), by
    session.flush()
    return Share.of(row)


def all_of(session: Session, record: Search) -> Shares:
    """Everybody it is or was shared with, the newest first."""
    newest_first = select(SearchShare).where(SearchShare.search_id == record.id).order_by(SearchShare.id.desc())
    return Shares(shares=[Share.of(row) for row in session.scalars(newest_first)])


def _owns(caller: Caller, record: Search) -> bool:
    return caller.sees_jobs_of in (None, record.owner)


def _is_shared(session: Session, search_id: UUID, caller: Caller) -> bool:
    if "search" not in caller.scopes:
        return False
    with_them = or_(SearchShare.caller == caller.name, SearchShare.caller.is_(None))
    open_ones = exists().where(SearchShare.search_id == search_id, SearchShare.revoked_at.is_(None), with_them)
    return bool(session.scalar(select(open_ones)))


def _open(session: Session, search_id: UUID, reader: str) -> SearchShare | None:
    column = _column(reader)
    of = SearchShare.caller.is_(None) if column is None else SearchShare.caller == column
    wanted = select(SearchShare).where(SearchShare.search_id == search_id, SearchShare.revoked_at.is_(None), of)
    return session.scalars(wanted).one_or_none()


def _column(reader: str) -> str | None:
    return None if reader == EVERYONE else reader
