"""A route's plain function runs in one thread, in one transaction, and comes back as the bytes of the answer.

A session that the framework opened, used and closed as a dependency would go through a thread three times, and keep its
connection while it waits for the next: with enough requests, all connections wait for threads and all threads for
connections.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from linework_api.state import Resources

REQUEST = "_request"  # a parameter for the wrapper alone, where the endpoint has none


def in_one_hop(endpoint: Callable[..., Any], status: int | None) -> Callable[..., Awaitable[Any]]:
    """The endpoint as a coroutine that takes a place of the database, and a thread for all of the work."""
    signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    named = next((one.name for one in parameters if one.annotation is Request), None)
    if named is None:
        parameters.append(inspect.Parameter(REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=Request))

    @functools.wraps(endpoint)
    async def hopped(**values: Any) -> Any:
        request: Request = values[named] if named else values.pop(REQUEST)
        resources: Resources = request.app.state.resources
        whole = functools.partial(_whole, endpoint, values, status or 200)
        return await resources.database.run(request.state.caller.name, whole, left=request.is_disconnected)

    hopped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return hopped


def _whole(endpoint: Callable[..., Any], values: dict[str, Any], status: int) -> Any:
    """Open, use, commit and close: the caller who reads 202 finds the job."""
    session = next((value for value in values.values() if isinstance(value, Session)), None)
    if session is None:
        return _written(endpoint(**values), values, status)
    with session, session.begin():
        result = endpoint(**values)
    return _written(result, values, status)


def _written(result: Any, values: dict[str, Any], status: int) -> Any:
    """A model as JSON. It was validated when it was made; the framework would do so again, in the event loop."""
    if not isinstance(result, BaseModel):
        return result
    response = next((value for value in values.values() if isinstance(value, Response)), None)
    return as_json(result, status, response)


def as_json(result: BaseModel, status: int = 200, response: Response | None = None) -> Response:
    """The answer, with the headers that the endpoint set."""
    headers = dict(response.headers) if response is not None else None
    return Response(result.model_dump_json(by_alias=True), status, headers, media_type="application/json")
