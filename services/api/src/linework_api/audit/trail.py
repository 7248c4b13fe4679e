"""Writing down who did what: every call that changes something, or reads the record of a search.

The entry is committed before the caller sees the answer. It holds ids, never bodies, queries or keys. A search itself
is told by its own record, with its owner; what failed on our side has changed nothing and stands in the log, as do
calls without a known key.
"""

from typing import Any

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linework_core.db import transaction
from linework_core.tables import AuditEntry

log = structlog.get_logger()
READS = ("GET", "HEAD", "OPTIONS")
LONGEST = 200


class AuditTrail:
    """Writes an entry when an answer begins, if the call is one of those."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._threads = CapacityLimiter(2)  # as many as it has connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_and_tell(message: Message) -> None:
            if message["type"] == "http.response.start" and state.get("caller") and _matters(scope, message["status"]):
                await _tell(scope, message, state["caller"], self._threads)
            await send(message)

        await self.app(scope, receive, send_and_tell)


def by_command(session: Session, caller: str, command: str, subject: str) -> None:
    """An entry for what was done at the shell."""
    session.add(AuditEntry(caller=caller, method="COMMAND", route=command, subject=subject, status=0))


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _matters(scope: Scope, status: int) -> bool:
    if status == 429 or status >= 500:
        return False
    route = _route(scope)
    if scope["method"] in READS:
        return route.startswith(("/searches/", "/search/batch/"))
    return route != "/search"


async def _tell(scope: Scope, message: Message, caller: Any, threads: CapacityLimiter) -> None:
    values = {
        "caller": caller.name,
        "key_id": caller.key_id,
        "method": scope["method"],
        "route": _route(scope),
        "subject": _subject(scope, message),
        "status": message["status"],
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
    }
    engine: Engine = scope["app"].state.resources.housekeeping
    try:
        await run_sync(_write, engine, values, limiter=threads)
    except SQLAlchemyError as error:  # it has been done: to answer otherwise would be untrue
        told = {name: str(value) for name, value in values.items() if name != "request_id"}
        log.error("audit_entry_not_written", error=type(error).__name__, **told)


def _subject(scope: Scope, message: Message) -> str | None:
    """The id in the path, or of what was made: a job's is in its place, another is told by its route."""
    told = scope["state"].get("subject")
    named = [told] if told else list(scope.get("path_params", {}).values())
    if not named:
        made = dict(message.get("headers", [])).get(b"location", b"").decode("latin-1")
        named = [made.rpartition("/")[2]] if made else []
    return str(named[0])[:LONGEST].encode("utf-8", "replace").decode().replace("\0", "?") if named else None


def _write(engine: Engine, values: dict[str, Any]) -> None:
    with transaction(engine) as session:
        session.add(AuditEntry(**values))
