"""The route of the audit log, for admins."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import select

from linework_api import cursors
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.state import WithSession
from linework_core.http import problems
from linework_core.tables import AuditEntry

ENTRY: TypeAdapter[tuple[int]] = TypeAdapter(tuple[cursors.Number])
router = APIRouter(tags=["callers"], route_class=KeyFirst)
Word = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]+$")]


class AuditFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    caller: Word | None = Field(None, description="Only what this caller did.")
    subject: Word | None = Field(None, description="Only what was done to this id.")
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=500, description="`next` of the page before.")


class Entry(BaseModel):
    """A call, or a command at the shell (`method` COMMAND, `status` 0)."""

    model_config = ConfigDict(from_attributes=True)

    at: dt.datetime
    caller: str
    key_id: UUID | None
    method: str
    route: str
    subject: str | None = Field(description="Id of what it was done to, or of what came of it.")
    status: int
    request_id: str | None


class AuditPage(BaseModel):
    entries: list[Entry]
    next: str | None


@router.get("/audit", responses=problems(400, 401, 403, 422, 503))
def read_audit(
    wanted: Annotated[AuditFilter, Query()], session: WithSession, _: Annotated[Caller, Depends(needs("admin"))]
) -> AuditPage:
    """Who did what, the newest first: every call that changed something or read the record of a search."""
    newest_first = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(wanted.limit + 1)
    if wanted.caller is not None:
        newest_first = newest_first.where(AuditEntry.caller == wanted.caller)
    if wanted.subject is not None:
        newest_first = newest_first.where(AuditEntry.subject == wanted.subject)
    if wanted.cursor is not None:
        newest_first = newest_first.where(AuditEntry.id < cursors.decode(wanted.cursor, ENTRY)[0])
    found = session.scalars(newest_first).all()
    shown = found[: wanted.limit]
    more = cursors.encode(shown[-1].id) if len(found) > len(shown) else None
    return AuditPage(entries=[Entry.model_validate(one) for one in shown], next=more)
