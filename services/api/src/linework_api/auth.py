"""Who calls, and what they may do. One dependency; every route names the scope that it needs."""

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from linework_api.keys.schemas import EVERYTHING, Scope
from linework_api.one_hop import in_one_hop
from linework_core.errors import Forbidden, Unauthorized
from linework_core.http import problems
from linework_core.settings import Settings

if TYPE_CHECKING:
    from linework_api.state import Resources

log = structlog.get_logger()
bearer = HTTPBearer(auto_error=False, description="An API key. Not asked for where AUTH=off (loopback only).")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent the request. Jobs and searches belong to the name."""

    name: str
    scopes: frozenset[Scope]
    key_id: UUID | None = None  # None where no key is asked for
    llm_usd_per_month: Decimal | None = None
    searches_per_day: int | None = None

    @property
    def sees_jobs_of(self) -> str | None:
        """Whose jobs and searches this caller may read: an admin everyone's (None)."""
        return None if "admin" in self.scopes else self.name


LOCAL = Caller("local", EVERYTHING)


def check_settings(settings: Settings) -> None:
    """Refuse to stand open where others can call. Raises ValueError."""
    if settings.auth == "off":
        if not settings.on_loopback:
            raise ValueError(f"AUTH=off is allowed on loopback only, not on {settings.api_host}.")
        log.warning("auth_off", host=settings.api_host, detail="Every caller on this machine may do everything.")


@dataclass(frozen=True, slots=True)
class Needs:
    """A dependency that names the caller and checks the scope (None: any caller with a key).

    A call that counts as a search is taken from the caller's searches of the day.
    """

    scope: Scope | None
    search: bool = False

    async def __call__(
        self, request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        caller = await self.admit(request)
        await self.count(request)
        return caller

    async def admit(self, request: Request) -> Caller:
        """The caller, named once a request. Raises Unauthorized, Forbidden, TooManyRequests."""
        known: Caller | None = getattr(request.state, "caller", None)
        if known is None:
            known = request.state.caller = await self._named(request)
        self._check(known)
        return known

    async def count(self, request: Request) -> None:
        """Take a search from the caller's searches of the day, once a request. Raises QuotaExceeded."""
        caller: Caller = request.state.caller
        if self.search and caller.key_id is not None and not getattr(request.state, "counted", False):
            request.state.counted = True
            await request.app.state.resources.rates.take_searches(caller.name, caller.searches_per_day)

    def _check(self, caller: Caller) -> None:
        if self.scope is not None and self.scope not in caller.scopes and "admin" not in caller.scopes:
            raise Forbidden(f"This key lacks the scope '{self.scope}'.")

    async def _named(self, request: Request) -> Caller:
        resources: Resources = request.app.state.resources
        if resources.settings.auth == "off":
            return LOCAL  # `OriginCheck` has let nobody else in
        credentials = await bearer(request)
        if credentials is None or not credentials.credentials:
            raise Unauthorized("Send 'Authorization: Bearer <key>'.", headers={"WWW-Authenticate": "Bearer"})
        key = await resources.keys.find(credentials.credentials)
        structlog.contextvars.bind_contextvars(caller=key.name)
        await resources.rates.take(key)
        scopes: frozenset[Scope] = frozenset(key.scopes)  # type: ignore[arg-type]
        return Caller(key.name, scopes, key.id, key.llm_usd_per_month, key.searches_per_day)


def needs(scope: Scope | None, *, search: bool = False) -> Needs:
    """For `Depends`: the caller, who has this scope."""
    return Needs(scope, search)


class KeyFirst(APIRoute):
    """A route that asks for the key before anything else; the framework would first read the whole body.

    A plain function runs in one thread, in one transaction (`one_hop`); a coroutine takes its own places.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["responses"] = {**problems(429), **(options.get("responses") or {})}
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = in_one_hop(endpoint, options.get("status_code"))
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, behind the check."""
        handle, needed = super().get_route_handler(), needs_of(self.dependant)

        async def admitted(request: Request) -> Response:
            if needed is not None:
                await needed(request, None)
            return await handle(request)

        return admitted


def needs_of(dependant: Dependant) -> Needs | None:
    """What a route asks of its caller."""
    for one in dependant.dependencies:
        found = one.call if isinstance(one.call, Needs) else needs_of(one)
        if found is not None:
            return found
    return None
