"""Who calls, and what they may do. One dependency; every route names the scope that it needs."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from linework_core.errors import Forbidden, Unauthorized
from linework_core.settings import Scope, Settings, sha256

log = structlog.get_logger()
EVERYTHING: frozenset[Scope] = frozenset({"search", "ingest", "enrich", "train", "admin"})
bearer = HTTPBearer(auto_error=False, description="An API key. Not asked for where AUTH=off (loopback only).")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent the request."""

    name: str
    scopes: frozenset[Scope]

    @property
    def sees_jobs_of(self) -> str | None:
        """Whose jobs and searches this caller may read: an admin everyone's (None)."""
        return None if "admin" in self.scopes else self.name


def check_settings(settings: Settings) -> None:
    """Refuse to start without keys where others can call. Raises ValueError."""
    if settings.auth == "off":
        if not settings.on_loopback:
            raise ValueError(f"AUTH=off is allowed on loopback only, not on {settings.api_host}.")
        log.warning("auth_off", host=settings.api_host, detail="Every caller on this machine may do everything.")
    elif not settings.api_keys:
        raise ValueError("AUTH=on needs API_KEYS.")


def needs(scope: Scope | None) -> Callable[..., Awaitable[Caller]]:
    """A dependency that names the caller and checks the scope (None: any caller with a key)."""

    async def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        settings: Settings = request.app.state.settings
        if settings.auth == "off":
            if not _on_this_machine(request):
                raise Forbidden("This gateway has no keys (AUTH=off), so it serves callers on its own machine only.")
            return Caller("local", EVERYTHING)
        known = _recognise(settings, credentials.credentials if credentials else "")
        if known is None:
            raise Unauthorized("Send 'Authorization: Bearer <key>'.", headers={"WWW-Authenticate": "Bearer"})
        if scope is not None and scope not in known.scopes and "admin" not in known.scopes:
            raise Forbidden(f"This key lacks the scope '{scope}'.")
        return known

    return caller


def _on_this_machine(request: Request) -> bool:
    """False for a caller at another address, whatever address the server was told to listen on."""
    try:
        return request.client is None or ip_address(request.client.host).is_loopback
    except ValueError:  # no address: a Unix socket, or a test
        return True


def _recognise(settings: Settings, key: str) -> Caller | None:
    digest, found = sha256(key), None
    for name, entry in settings.api_keys.items():  # all of them, so that time tells nothing
        if hmac.compare_digest(entry.sha256, digest):
            found = Caller(name, entry.scopes)
    return found
