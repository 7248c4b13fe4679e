"""Room for searches by pictures: so many at once, and so many bytes of their bodies, in all and for each caller.

Room is asked for before a body is read, and given back when the request has been answered. Bodies lie in temporary
files while they wait; a part below a megabyte stays in memory. So this bounds the disk and the memory that they take,
and how many wait for the decoder.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import prometheus_client
from fastapi import Request, Response

from linework_api.auth import KeyFirst, needs_of
from linework_core.errors import Busy, SlowRequest, TooManyRequests

if TYPE_CHECKING:
    from linework_api.state import Resources

REFUSED = prometheus_client.Counter(
    "linework_refused_pictures_total", "Searches by pictures that found no room, by whose limit.", ["limit"]
)
SHARE = 4  # a caller has a quarter
RETRY_AFTER = 2  # seconds: some pictures later
MOST_FILES, MOST_FIELDS, MOST_FIELD_BYTES = (
    8,
    250,
    2**15,
)  # of a form: some more than are allowed, so that they are named
PATIENCE_S, LEAST_BYTES_PER_S = 30, 100_000  # a body that holds its room for nothing is given up


class Admission:
    """For one event loop."""

    def __init__(self, most_requests: int, most_bytes: int, largest: int) -> None:
        """`largest`: bytes of the largest body that is allowed; one that does not tell its length counts as that."""
        self.most_requests = most_requests
        self.most_bytes = most_bytes
        self.largest = largest
        self._requests: Counter[str] = Counter()  # by caller
        self._bytes: Counter[str] = Counter()

    @contextmanager
    def room(self, caller: str, size: int) -> Iterator[None]:
        """Room for one request with a body of so many bytes.

        Raises TooManyRequests where the caller's share is used up, Busy where the gateway's room is. Whoever has no
        other request under way gets room for one of any size, as far as there is room at all.
        """
        self._check(caller, size)
        self._requests[caller] += 1
        self._bytes[caller] += size
        try:
            yield
        finally:
            self._requests[caller] -= 1
            self._bytes[caller] -= size
            if not self._requests[caller]:
                del self._requests[caller], self._bytes[caller]

    def _check(self, caller: str, size: int) -> None:
        own, taken = self._requests[caller], self._bytes.total()
        too_many = own >= max(1, self.most_requests // SHARE)
        if own and (too_many or self._bytes[caller] + size > self.most_bytes // SHARE):
            REFUSED.labels("caller").inc()
            detail = f"{own} searches by pictures of this caller, of {self._bytes[caller]:,} bytes, are under way."
            raise TooManyRequests(detail, retry_after=RETRY_AFTER)
        if self._requests.total() >= self.most_requests or (taken and taken + size > self.most_bytes):
            REFUSED.labels("gateway").inc()
            raise Busy("Too many searches by pictures are under way.", retry_after=RETRY_AFTER)


class RoomFirst(KeyFirst):
    """A route that asks for the key, then for room, and only then reads the form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, behind both checks. A search that finds no room is none of the day's."""
        handle, needed = super().get_route_handler(), needs_of(self.dependant)
        assert needed is not None

        async def with_room(request: Request) -> Response:
            resources: Resources = request.app.state.resources
            caller = await needed.admit(request)
            length = request.headers.get("content-length", "")
            size = int(length) if length.isdigit() else resources.admission.largest
            with resources.admission.room(caller.name, size):
                try:
                    await _read_form(request, size)
                    return await handle(request)
                finally:
                    await request.close()  # its temporary files, also where the framework has not come to them

        return with_room


async def _read_form(request: Request, size: int) -> None:
    """Read the form with limits of its own; the framework then finds it read. Raises SlowRequest."""
    try:
        async with asyncio.timeout(PATIENCE_S + size / LEAST_BYTES_PER_S):
            await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    except TimeoutError:
        raise SlowRequest("The body took too long to arrive.") from None
