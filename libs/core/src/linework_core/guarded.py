"""uvicorn's HTTP protocol with limits on connections: `--http linework_core.guarded:GuardedProtocol`.

uvicorn itself waits for ever for the rest of a request, takes any number of connections, and puts the pieces of a head
together however long it grows, all of them with each new one: a head of 60 MB held the gateway up for 20 seconds.
"""

import asyncio
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from linework_core.settings import get_settings

REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s"
)
TOO_MANY = (
    b'{"type": "urn:linework:problem:busy", "title": "Too busy", "status": 503, "detail": "Too many connections."}'
)
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
MAX_HEAD = 2**16  # bytes; and the most between two parts of a body
LINGER_S = 60.0  # what is left of a body whose request was answered already is read for so long
LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not arrive in time or has too long a head, and those beyond the limits,
    in all and by address. Upgrades are not taken.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._settings = get_settings()
        self._head: TimerHandle | None = None  # runs while a request's head is awaited
        self._body: TimerHandle | None = None  # runs while a request's body is awaited
        self._last_data = 0.0
        self._in_body = False  # between a head and the end of its body
        self._answered_at: float | None = None  # when the body's request was seen to be answered already
        self._unparsed = 0  # bytes since a head was complete or a part of a body came
        self.ws_protocol_class = None  # no route of ours is one, and its limits are others

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.write(REFUSED % (len(TOO_MANY), TOO_MANY))
            transport.close()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._body):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._last_data = self.loop.time()
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MAX_HEAD:
            self._refuse_head()
            return
        cycle: RequestResponseCycle | None = self.cycle
        if not self._in_body and (cycle is None or cycle.response_complete):  # a beginning, or no request at all
            self._await_head()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._unparsed = 0
        if self._head is not None:
            self._head.cancel()
            self._head = None
        self._in_body, self._answered_at = True, None
        super().on_headers_complete()
        if self._body is None and not self.transport.is_closing():
            self._await_body()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _is_one_too_many(self) -> bool:
        if len(self.connections) > self._settings.max_connections:
            return True
        address = self.client and self.client[0]
        if address is None:  # a Unix socket
            return False
        same = [one for one in self.connections if (getattr(one, "client", None) or (None,))[0] == address]
        return len(same) > self._settings.max_connections_per_address

    def _await_head(self) -> None:
        if self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self._settings.request_seconds, self._close_late)

    def _refuse_head(self) -> None:
        """A head, or what follows a body, that is too long. Nobody reads on."""
        cycle: RequestResponseCycle | None = self.cycle
        if not self.transport.is_closing():
            if cycle is None or cycle.response_complete:
                self.transport.write(TOO_LONG)
            self.transport.close()

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(LATE)
            self.transport.close()

    def _await_body(self) -> None:
        """Look again and again whether the client still sends, until the body is there.

        Most clients send a whole body before they read. One that is refused at its head is read on for a while, so that
        they see why, and not a connection that was reset.
        """
        self._body = None
        if not self._in_body or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.cycle.response_complete and self._answered_at is None:
            self._answered_at = now
        # while we do not read, or have not asked for the body yet, the client waits for us
        waits_for_us = self.flow.read_paused or self.cycle.waiting_for_100_continue
        silent = now - self._last_data > self._settings.request_seconds and not waits_for_us
        if silent or (self._answered_at is not None and now - self._answered_at > LINGER_S):
            self.transport.abort()
        else:
            self._body = self.loop.call_later(1.0, self._await_body)
