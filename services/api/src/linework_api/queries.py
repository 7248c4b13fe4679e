"""Query strings: a parameter counts once, and a search's many are read at once."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from linework_api import lists
from linework_core.errors import Unprocessable

REPEATABLE = frozenset({"locarno", "office", "view", "exclude", "facets", "like", "unlike"})
Model = TypeVar("Model", bound=BaseModel)


async def each_once(request: Request) -> None:
    """Raises Unprocessable where `before` and the like come twice: the framework would take the last silently."""
    counts = Counter(name for name, _ in request.query_params.multi_items() if name not in REPEATABLE)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise Unprocessable(f"Given more than once: {', '.join(repeated)}.")


def from_query(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """For `Depends`: the model as the query string has it, with lists by our rule (lists.py).

    The framework looks at each field's type again with each request: for the two dozen of a search that is a tenth of
    all that the gateway adds. `documented` puts the parameters into the OpenAPI document.
    """
    named = lists.names_of(model)

    async def read(request: Request) -> Model:
        given: dict[str, Any] = dict(request.query_params)
        given |= {name: lists.parted(name, request.query_params.getlist(name)) for name in named & given.keys()}
        try:
            return model.model_validate(given)
        except ValidationError as error:
            faults = [{**fault, "loc": ("query", *fault["loc"])} for fault in error.errors(include_url=False)]
            raise RequestValidationError(faults) from None

    return read


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """For a route's `openapi_extra`: the model's fields as parameters of the query string. All are optional."""
    properties: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    parameters = (
        {"name": name, "in": "query", "required": False, "schema": schema, "description": schema["description"]}
        for name, schema in properties.items()
    )
    return {"parameters": list(parameters)}
