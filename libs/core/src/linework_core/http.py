"""What every HTTP service of ours does alike: request ids, problem documents, metrics, access log."""

import json
import re
import time
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from obstore.exceptions import BaseError as StoreError
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linework_core import errors, tracing
from linework_core.errors import Busy, LineworkError, TooLarge, Unavailable, Unprocessable

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
REQUESTS = Counter("linework_http_requests_total", "Requests by route and status.", ["method", "route", "status"])
SECONDS = Histogram("linework_http_request_seconds", "Seconds until the answer began.", ["method", "route"])
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
GONE = 499  # in metrics and log: the client left before it was answered
MAX_BODY = 2**20  # bytes of a request, unless its path has a limit of its own

# The framework's own errors get our types: its phrases change with Python's version
FRAMEWORK: dict[int, type[LineworkError]] = {
    error.status: error
    for error in (errors.BadRequest, errors.NotFound, errors.TooLarge, errors.UnsupportedMediaType, Unprocessable)
}


class Problem(BaseModel):
    """An RFC 9457 problem document. `type` is stable; members beyond these tell more."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for OpenAPI: these statuses carry a problem document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install(app: FastAPI, *, max_body: Mapping[str, int] | None = None) -> None:
    """Give an application its request ids, problem documents, `/metrics` and access log.

    With `max_body` no request has more than MAX_BODY bytes, except where it names a path's own limit.
    """
    tracing.follow_calls()
    if max_body is not None:
        app.add_middleware(BodyLimit, limits=max_body)
    app.add_middleware(RequestContext)  # added last, so it is outermost
    app.add_exception_handler(LineworkError, _on_linework_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(OperationalError, _on_database_down)
    app.add_exception_handler(PoolTimeout, _on_no_connection)
    app.add_exception_handler(StoreError, _on_store_down)

    one_at_a_time = CapacityLimiter(1)  # it is open to strangers, and may ask a database that hangs

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(await run_sync(generate_latest, limiter=one_at_a_time), media_type=CONTENT_TYPE_LATEST)


def describe_problems(app: FastAPI) -> None:
    """Put the Problem schema into the application's OpenAPI, in place of FastAPI's own validation error."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schemas = original().setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
        return original()

    app.openapi = openapi  # type: ignore[method-assign]


class ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """JSON in UTF-8, whatever a caller wrote that we repeat: half a surrogate pair becomes '?'."""
        return json.dumps(content, ensure_ascii=False, default=str).encode("utf-8", "replace")


def problem_of(error: LineworkError) -> dict[str, Any]:
    """The problem document of an error."""
    return _document(error.status, error.type, error.title, error.detail, error.extra)


def problem_response(error: LineworkError) -> Response:
    """The answer that tells a caller of an error."""
    return ProblemResponse(problem_of(error), error.status, headers=error.headers)


def _document(status: int, type_: str, title: str, detail: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": f"urn:linework:problem:{type_}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **extra,
    }


async def _on_linework_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, LineworkError)
    return problem_response(error)


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{"where": ".".join(str(part) for part in fault["loc"]), "what": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:5])
    return problem_response(Unprocessable(detail, errors=faults[:50]))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """The framework's own answers: an unknown path, a wrong method, a malformed body."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(request))
    if ours := FRAMEWORK.get(error.status_code):
        document = _document(ours.status, ours.type, ours.title, str(error.detail), {})
    else:
        document = _document(error.status_code, phrase.lower().replace(" ", "-"), phrase, str(error.detail), {})
    return ProblemResponse(document, document["status"], headers=headers)


def _methods_of(request: Request) -> list[str]:
    """All methods of the path that was asked for; the framework names those of its first route only."""
    path = request.scope["route"].path
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path == path]
    return sorted({method for route in routes for method in route.methods or ()})


async def _on_database_down(_: Request, error: Exception) -> Response:
    log.error("database_unavailable", error=str(error))
    return problem_response(Unavailable("The database does not answer.", retry_after=5))


async def _on_no_connection(_: Request, error: Exception) -> Response:
    log.error("no_connection_free", error=str(error))
    return problem_response(Busy("All connections to the database are in use.", retry_after=5))


async def _on_store_down(_: Request, error: Exception) -> Response:
    log.error("store_unavailable", error=str(error))
    return problem_response(Unavailable("The object store does not answer.", retry_after=5))


class BodyLimit:
    """Refuses larger bodies than a path takes. The framework would read them whole before it asks who calls."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limits.get(scope["path"], MAX_BODY)
        refusal = TooLarge(f"A request may have {limit:,} bytes here.")
        told = dict(scope["headers"]).get(b"content-length", b"")
        if told.isdigit() and int(told) > limit:
            await problem_response(refusal)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(refusal.status, refusal.detail)  # any other the framework takes for a bad body
            return message

        await self.app(scope, counted, send)


class RequestContext:
    """Binds a request id to all that is logged, returns it as X-Request-ID, counts and times the request.

    It answers crashes, too: the framework's own handler stands outside of it, where the request has no id. Nobody
    waits for what is noted of a request: its answer has been sent by then.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        tracing.request_began(request_id)
        began = time.perf_counter()
        answered: tuple[int, float] | None = None  # with this status, after so many seconds

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"], time.perf_counter() - began
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            answered = answered or (GONE, time.perf_counter() - began)
        except Exception as error:
            if answered:
                raise
            log.error("request_crashed", exc_info=error)
            crash = LineworkError("An error on our side; the request id finds it in the log.")
            await problem_response(crash)(scope, receive, send_with_id)
        finally:
            if answered:
                self._observe(scope, *answered)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        REQUESTS.labels(scope["method"], route, status).inc()
        SECONDS.labels(scope["method"], route).observe(seconds)
        if not route.startswith(("/health", "/metrics")):
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(seconds * 1000, 1),
            )
