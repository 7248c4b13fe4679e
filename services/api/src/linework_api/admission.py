"""Room for searches by pictures: so many at once, and so many bytes of their bodies, in all and for each caller.

Room is asked for before a body is read, and given back when the request has been answered. Bodies lie on disk while
they wait (the framework keeps a megabyte of each part in memory), so that this bounds the disk, and the number of those
who wait for the decoder.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import prometheus_client

from linework_core.errors import Busy, TooManyRequests

REFUSED = prometheus_client.Counter(
    "linework_refused_pictures_total", "Searches by pictures that found no room, by whose limit.", ["limit"]
)
SHARE = 4  # a caller has a quarter
RETRY_AFTER = 2  # seconds: some pictures later


class Admission:
    """For one event loop."""

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self.most_requests = most_requests
        self.most_bytes = most_bytes
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
