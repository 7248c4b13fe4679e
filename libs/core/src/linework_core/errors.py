"""The errors of Linework, each with the status and the stable type of its RFC 9457 problem document.

LineworkError
├── BadRequest 400            the request cannot be understood or obeyed as it stands
│   ├── UnreadableImage 422   what should be an image is none, or is too large
│   └── NothingDrawn 422      an image without a drawing in it
├── Unauthorized 401, Forbidden 403
├── NotFound 404, SlowRequest 408, Conflict 409, Gone 410
│   └── Erased 410            of a patent that was erased, or of what showed it
├── TooLarge 413, UnsupportedMediaType 415, Unprocessable 422
├── UnreadableSource 422      why an ingest failed that could read nothing at all
├── TooManyRequests 429       carries Retry-After
│   └── QuotaExceeded 429     of a day or a month, not of a minute
└── Unavailable 503           a part we need is down; carries Retry-After
    └── Busy 503              nothing is down, but too many requests wait
"""

from typing import Any, ClassVar


class LineworkError(Exception):
    """An error that a caller is told about. `detail` is a sentence; `extra` becomes members of the problem."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra


class BadRequest(LineworkError):
    status, type, title = 400, "bad-request", "Bad request"


class Unauthorized(LineworkError):
    status, type, title = 401, "unauthorized", "An API key is needed"


class Forbidden(LineworkError):
    status, type, title = 403, "forbidden", "Not allowed for this caller"


class NotFound(LineworkError):
    status, type, title = 404, "not-found", "Not found"


class SlowRequest(LineworkError):
    status, type, title = 408, "request-timeout", "Request timeout"


class Conflict(LineworkError):
    status, type, title = 409, "conflict", "Conflict"


class Gone(LineworkError):
    status, type, title = 410, "gone", "Not kept any more"


class Erased(Gone):
    status, type, title = 410, "erased", "Erased"


class TooLarge(LineworkError):
    status, type, title = 413, "too-large", "Too large"


class UnsupportedMediaType(LineworkError):
    status, type, title = 415, "unsupported-media-type", "Unsupported media type"


class Unprocessable(LineworkError):
    status, type, title = 422, "invalid-request", "Invalid request"


class UnreadableSource(LineworkError):
    status, type, title = 422, "unreadable-source", "Nothing of the source can be read"


class UnreadableImage(LineworkError):
    status, type, title = 422, "unreadable-image", "The image cannot be read"


class NothingDrawn(LineworkError):
    status, type, title = 422, "nothing-drawn", "There is nothing drawn in the image"


class TooManyRequests(LineworkError):
    """`retry_after` (seconds) tells when to come again."""

    status, type, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, detail: str, *, retry_after: int, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extra)


class QuotaExceeded(TooManyRequests):
    status, type, title = 429, "quota-exceeded", "The quota is used up"


class Unavailable(LineworkError):
    """A part that is needed does not answer; `retry_after` (seconds) tells when to come again."""

    status, type, title = 503, "unavailable", "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after: int = 2, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extra)


class Busy(Unavailable):
    status, type, title = 503, "busy", "Too busy"
