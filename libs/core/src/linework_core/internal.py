"""Calls between our own services: a token that all of them share, and nobody else has."""

import hmac
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from linework_core.errors import Forbidden, Unauthorized
from linework_core.http import problem_response

OPEN = ("/health/", "/metrics")
FORWARDED = frozenset({b"forwarded", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip", b"via"})


def header(token: SecretStr | None) -> dict[str, str]:
    """The header of a call to another service of ours."""
    return {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}


class InternalOnly:
    """Lets in who sends the token, before the body is read; health and metrics are open.

    Without a token it serves this machine only: Unix sockets and loopback, whatever the server listens on.
    """

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self.app = app
        self._expected = header(token).get("Authorization", "").encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OPEN):
            await self.app(scope, receive, send)
            return
        if self._expected:
            sent = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(sent, self._expected):
                refusal = Unauthorized("Only services of Linework call here, with their token (INTERNAL_TOKEN).")
                refusal.headers["WWW-Authenticate"] = "Bearer"
                await problem_response(refusal)(scope, receive, send)
                return
        elif not is_here(scope["client"][0] if scope.get("client") else None) or is_forwarded(scope["headers"]):
            refused = Forbidden("This service has no INTERNAL_TOKEN, so it serves its own machine only.")
            await problem_response(refused)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def is_here(address: str | None) -> bool:
    """Whether a caller is on this machine, whatever address the server was told to listen on. None: a Unix socket."""
    if address is None:
        return True
    try:
        ip = ip_address(address)
    except ValueError:  # not an address: whoever it is, nobody knows where
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def is_forwarded(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether somebody passed the request on for somebody else, whatever the headers say of whom."""
    return any(name in FORWARDED or name.startswith(b"x-forwarded") for name, _ in headers)
