"""Routes of sharing a search."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.search import sharing
from linework_api.search.sharing import Share, ShareRequest, Shares
from linework_api.state import WithSession
from linework_core.http import problems

router = APIRouter(tags=["search"], route_class=KeyFirst)
Searcher = Annotated[Caller, Depends(needs("search"))]
READ = problems(400, 401, 403, 404, 422, 503)


@router.post("/searches/{search_id}/share", responses=READ | problems(413))
def share_search(search_id: UUID, wanted: ShareRequest, session: WithSession, caller: Searcher) -> Share:
    """Let another caller, or everyone who may search, read a search: its record, export, clusters and replay.

    Its owner and admins share it. Again, it changes nothing.
    """
    return sharing.share(session, sharing.find_own(session, search_id, caller), wanted.reader, by=caller.name)


@router.get("/searches/{search_id}/share", responses=READ)
def list_shares(search_id: UUID, session: WithSession, caller: Searcher) -> Shares:
    """With whom a search is or was shared, the newest first; for its owner and admins."""
    return sharing.all_of(session, sharing.find_own(session, search_id, caller))


@router.delete("/searches/{search_id}/share/{reader}", responses=READ)
def revoke_share(
    search_id: UUID,
    reader: Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A name, or 'everyone'.")],
    session: WithSession,
    caller: Searcher,
) -> Share:
    """Revoke a share, at once."""
    return sharing.revoke(session, sharing.find_own(session, search_id, caller), reader, by=caller.name)
