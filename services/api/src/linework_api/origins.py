"""Which requests are taken by what a browser says of them: Host, Origin and Sec-Fetch-Site.

Without keys (AUTH=off) a web page that the user visits could otherwise do all that the user can: by a form that it
sends to this machine, or by a name of its own that it lets lead here (DNS rebinding). With keys nothing of this helps
it, for no browser adds a key by itself; `ALLOWED_HOSTS` bounds the names there, too, where it is set.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from linework_core.errors import Forbidden
from linework_core.http import problem_response
from linework_core.internal import OPEN, is_forwarded, is_here
from linework_core.settings import Settings

OWN_SITE = ("same-origin", "none")  # 'same-site' is another port of this machine


class OriginCheck:
    """Refuses with 403 what does not come from a page of ours or from a program; health and metrics are open."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._without_keys = settings.auth == "off"
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(OPEN):
            refusal = self._refusal(scope)
            if refusal is not None:
                await problem_response(Forbidden(refusal))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if (self._without_keys or self._hosts) and not (len(hosts) == 1 and self._is_ours(hosts[0])):
            return "This gateway is not known by the name in 'Host'; ALLOWED_HOSTS may have it."
        if not self._without_keys:
            return None
        client = scope.get("client")
        if not is_here(client[0] if client else None) or is_forwarded(scope["headers"]):
            return "This gateway has no keys (AUTH=off), so it serves callers on its own machine only."
        origins = headers.getlist("origin")
        sites = headers.getlist("sec-fetch-site")
        if any(site not in OWN_SITE for site in sites) or any(one != f"http://{hosts[0]}" for one in origins):
            return "This gateway has no keys (AUTH=off), so it takes nothing from other web sites."
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._hosts or (self._without_keys and _is_loopback(name))


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
