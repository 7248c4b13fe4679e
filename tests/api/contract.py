"""What schemathesis cannot know of our contract: hooks and checks beside its own."""

from typing import Any
from urllib.parse import urlencode

import schemathesis

from tests.api.conftest import draw

PICTURE = draw(40, 30)


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of the pictures to search by are pictures: random bytes never are."""
    if context.operation.label == "POST /search" and isinstance(body, dict) and isinstance(body.get("image"), list):
        return {**body, "image": [PICTURE if len(str(one)) % 2 else one for one in body["image"]]}
    return body


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """A search by stored drawings names a drawing or a patent; no schema of single parameters says so."""
    if context.operation.label == "GET /search" and isinstance(query, dict) and "drawing" in query:
        return {name: value for name, value in query.items() if name != "patent"}
    return query


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out the longest URLs: beyond 64 kB the HTTP server answers before the application sees them."""
    return not isinstance(case.query, dict) or len(urlencode(case.query, doseq=True)) < 60_000


@schemathesis.check
def every_error_is_a_problem(ctx: Any, response: Any, case: Any) -> None:
    """RFC 9457, with a stable type and the request's id; readiness alone answers 503 with its own document."""
    assert response.headers.get("x-request-id"), "no X-Request-ID"
    if response.status_code < 400 or case.path == "/health/ready":
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers["content-type"]
    problem = response.json()
    assert problem["type"].startswith("urn:linework:problem:"), problem
    assert problem["status"] == response.status_code, problem
    assert [problem["request_id"]] == response.headers["x-request-id"], problem
