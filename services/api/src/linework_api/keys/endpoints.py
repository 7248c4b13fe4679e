"""Routes of keys, for admins."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from linework_api import cursors
from linework_api.auth import Caller, KeyFirst, needs
from linework_api.keys import service
from linework_api.keys.schemas import Grant, KeyMade, KeyPage, KeyView
from linework_api.state import WithResources, WithSession
from linework_core.db import after_commit
from linework_core.errors import Conflict
from linework_core.http import problems

router = APIRouter(tags=["callers"], route_class=KeyFirst)
Admin = Annotated[Caller, Depends(needs("admin"))]


class Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=500, description="`next` of the page before.")


@router.post("/keys", status_code=201, responses=problems(400, 401, 403, 413, 415, 422, 503))
def make_key(wanted: Grant, request: Request, session: WithSession, resources: WithResources, caller: Admin) -> KeyMade:
    """Make a key. It is in this answer and nowhere else: only its hash is kept."""
    key = service.new_key()
    added = service.add(session, wanted, key, by=caller.name)
    request.state.subject = added.id  # for the audit log
    after_commit(session, resources.keys.forget)
    return KeyMade(**KeyView.of(added).model_dump(), key=key)


@router.get("/keys", responses=problems(400, 401, 403, 422, 503))
def list_keys(wanted: Annotated[Paging, Query()], session: WithSession, _: Admin) -> KeyPage:
    """All keys, the newest first, also those that have expired or were revoked."""
    after = cursors.decode(wanted.cursor, cursors.PLACE) if wanted.cursor else None
    found = service.page(session, after=after, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    following = cursors.encode(shown[-1].created_at.isoformat(), shown[-1].id) if len(found) > len(shown) else None
    return KeyPage(keys=[KeyView.of(key) for key in shown], next=following)


@router.delete("/keys/{key_id}", responses=problems(400, 401, 403, 404, 409, 422, 503))
def revoke_key(key_id: UUID, session: WithSession, resources: WithResources, caller: Admin) -> KeyView:
    """Revoke a key, for good; again, it changes nothing. Within five seconds no gateway accepts it any more.

    The key that asks cannot be revoked, so that nobody locks everybody out.
    """
    if key_id == caller.key_id:
        raise Conflict("This is the key that you call with: revoke it by another admin's, or by the command.")
    revoked = service.revoke(session, key_id)
    after_commit(session, resources.keys.forget)
    return KeyView.of(revoked)
