"""Bodies that a route reads itself, since it takes JSON or a file."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from linework_core.errors import TooLarge, Unprocessable

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def described(model: type[BaseModel], *parts: str) -> dict[str, Any]:
    """`openapi_extra` of a route that takes JSON of a model, or a form of these files, the first of them at least."""
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "required": list(parts[:1]), "additionalProperties": False}
    content = {
        "application/json": {"schema": model.model_json_schema()},
        "multipart/form-data": {"schema": form | {"properties": dict.fromkeys(parts, file)}},
    }
    return {"requestBody": {"required": True, "content": content}}


async def read_json(request: Request, model: type[Model], limit: int) -> Model:
    """The body, which has at most `limit` bytes. Raises TooLarge, Unprocessable."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The JSON body may have {limit:,} bytes.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = [{"where": ".".join(map(str, f["loc"])) or "body", "what": f["msg"]} for f in error.errors()]
        detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:5])
        raise Unprocessable(detail, errors=faults[:50]) from None
