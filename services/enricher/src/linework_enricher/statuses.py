"""What a provider's HTTP status means for the call."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import BaseModel, ValidationError

from linework_enricher.errors import ProviderDown, ProviderError, RateLimited, Rejected, TimedOut

LONGEST_COMPLAINT = 300  # characters of what a server says that go into a message
NEVER_BETTER = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405})


class _Complaint(BaseModel):
    message: str = ""
    code: str | int | None = None


class _Problem(BaseModel):
    error: _Complaint | str


def error_of(name: str, response: httpx.Response, body: bytes, secret: str) -> ProviderError:
    """The error for a reply of the provider `name` that is not 200. Its message never holds `secret`."""
    status = response.status_code
    complaint = _complaint(body)
    if status == 429 and complaint.code == "insufficient_quota":  # OpenAI's word for 'not paid'
        return Rejected(f"{name} says that the quota is used up.", status, every_call=True)
    if status == 429:
        return RateLimited(f"{name} has had too many requests.", retry_after=_retry_after(response))
    if status == 408:
        return TimedOut(f"{name} ran out of time itself.")
    if status >= 500 and status != 501:
        return ProviderDown(f"{name} answered with {status}.", retry_after=_retry_after(response))
    if status in NEVER_BETTER:  # what a server says about keys may hold the key
        return Rejected(f"{name} answered with {status}.", status, every_call=True)
    return Rejected(f"{name} answered with {status}: {_line(complaint.message, secret)}", status)


def _complaint(body: bytes) -> _Complaint:
    try:
        error = _Problem.model_validate_json(body).error
    except ValidationError:
        return _Complaint(message=body.decode("utf-8", "replace"))
    return _Complaint(message=error) if isinstance(error, str) else error


def _line(text: str, secret: str) -> str:
    text = text.replace(secret, "[key]") if secret else text
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_COMPLAINT]


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds from now, from either form of Retry-After. None where there is none, or one that makes no sense."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
