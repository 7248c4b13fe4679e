"""Work whose caller has left is given up."""

import asyncio
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

T = TypeVar("T")


async def while_connected(request: Request, work: "asyncio.Future[T]") -> T:
    """The result of some work. It is cancelled when the client leaves; then this raises ClientDisconnect.

    The request's body has been read: all that can still come is the message that the client has left.
    """
    departure = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((work, departure), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        departure.cancel()
