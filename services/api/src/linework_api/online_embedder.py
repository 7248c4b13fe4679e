"""The gateway's way to the embedder: no thread and no connection waits for it, and one that hangs is left alone."""

import asyncio
import base64
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import httpx
import numpy as np
import structlog
from pydantic import SecretStr

from linework_api.bulkheads import Bulkhead
from linework_api.embedder_client import Vectors, as_our_error
from linework_core import internal
from linework_core.errors import Unavailable
from linework_core.manifest import EncoderManifest

log = structlog.get_logger()
SECONDS = 15.0  # longest that a search waits for its vectors
PAUSE_S = 2.0  # how long an embedder that did not answer is not asked
PLACES = 32  # calls at a time; it puts them together into batches


class OnlineEmbedder:
    """Speaks to the embedder at `url`, as `EmbedderClient` does. For one event loop."""

    def __init__(self, url: str, *, token: SecretStr | None = None) -> None:
        socket = url.removeprefix("unix://") if url.startswith("unix://") else None
        self._client = httpx.AsyncClient(
            base_url=url if socket is None else "http://embedder",
            timeout=SECONDS,
            transport=None if socket is None else httpx.AsyncHTTPTransport(uds=socket),
            headers=internal.header(token),
            event_hooks={"request": [_name_request]},
        )
        self._places = Bulkhead("embedder", PLACES)
        self._loading = Bulkhead("encoder", 2, queue=8)
        self._breaker = Breaker("The embedder does not answer.")

    async def embed(
        self, caller: str, kind: Literal["drawings", "texts"], items: Sequence[bytes | str], encoder: str
    ) -> Vectors:
        """Unit vectors (n, d) of n derivatives (PNG bytes) or texts. Raises Unavailable, Busy or Unprocessable."""
        told = [base64.b64encode(one).decode() if isinstance(one, bytes) else one for one in items]
        async with self._places.place(caller):
            with self._breaker.asking():
                answer = await self._ask("POST", f"/embed/{kind}", json={kind: told, "encoder": encoder})
        return np.asarray(_checked(answer)["vectors"], dtype=np.float32)

    async def describe(self, caller: str, spec: str) -> EncoderManifest:
        """Load an encoder by its specification and return what identifies it. Raises Unprocessable."""
        async with self._loading.place(caller):
            answer = await self._ask("POST", "/describe", json={"spec": spec}, timeout=600)
        return EncoderManifest.model_validate(_checked(answer))

    async def ready(self) -> None:
        """Raises Unavailable, saying what is wrong, where the embedder does not embed."""
        _checked(await self._ask("GET", "/health/ready", timeout=5))

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Silent(f"The embedder does not answer ({type(error).__name__}).") from None


class Silent(Unavailable):
    """No answer came; one that says no is an answer."""


class Breaker:
    """A circuit breaker: after a call without an answer others fail at once, until a single one has tried again."""

    def __init__(self, detail: str, *, pause_s: float = PAUSE_S) -> None:
        self._detail = detail
        self._pause_s = pause_s
        self._open_until: float | None = None
        self._trying = False

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a call that raises Silent. Raises Unavailable while the other side is left alone."""
        alone = self._open_until is not None
        if alone:
            self._refuse_all_but_one()
            self._trying = True
        try:
            yield
        except (Silent, asyncio.CancelledError) as error:
            if isinstance(error, Silent):
                self._open_until = time.monotonic() + self._pause_s
            raise
        else:
            self._open_until = None
        finally:
            self._trying = self._trying and not alone

    def _refuse_all_but_one(self) -> None:
        left = (self._open_until or 0.0) - time.monotonic()
        if self._trying or left > 0:
            raise Unavailable(self._detail, retry_after=max(1, math.ceil(left)))


def _checked(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    raise as_our_error(answer)


async def _name_request(request: httpx.Request) -> None:
    """The embedder logs under the id of the request that it works for."""
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        request.headers["X-Request-ID"] = request_id
