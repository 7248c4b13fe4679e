"""A client of the embedder's HTTP interface, for workers; the gateway has `online_embedder`."""

import base64
from typing import Any, Protocol

import httpx
import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import SecretStr

from linework_core import internal
from linework_core.errors import LineworkError, Unavailable, Unprocessable
from linework_core.manifest import EncoderManifest

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What a search needs of an embedder."""

    def embed_drawings(self, derivatives: list[bytes], encoder: str) -> Vectors: ...
    def embed_texts(self, texts: list[str], encoder: str) -> Vectors: ...


class EmbedderClient:
    """Speaks to the embedder at `url`: http://host:port, or unix:///path of a socket."""

    def __init__(
        self,
        url: str,
        *,
        token: SecretStr | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if url.startswith("unix://"):
            transport = transport or httpx.HTTPTransport(uds=url.removeprefix("unix://"))
            url = "http://embedder"
        self._client = httpx.Client(
            base_url=url,
            timeout=timeout,
            transport=transport,
            headers=internal.header(token),
            event_hooks={"request": [_name_request]},
        )

    def embed_drawings(self, derivatives: list[bytes], encoder: str) -> Vectors:
        """Unit vectors (n, d) of n derivatives (PNG bytes). Raises Unavailable or Unprocessable."""
        encoded = [base64.b64encode(png).decode() for png in derivatives]
        return self._vectors("/embed/drawings", {"drawings": encoded, "encoder": encoder})

    def embed_texts(self, texts: list[str], encoder: str) -> Vectors:
        """Unit vectors (n, d) of n texts. Raises Unavailable or Unprocessable."""
        return self._vectors("/embed/texts", {"texts": texts, "encoder": encoder})

    def describe(self, spec: str) -> EncoderManifest:
        """Load an encoder by its specification and return what identifies it. Raises Unprocessable."""
        return EncoderManifest.model_validate(self._post("/describe", {"spec": spec}, timeout=600))

    def ready(self) -> bool:
        """True when the embedder embeds. Raises Unavailable, saying what is wrong."""
        self._ask("GET", "/health/ready", timeout=5)
        return True

    def close(self) -> None:
        self._client.close()

    def _vectors(self, path: str, body: dict[str, Any]) -> Vectors:
        return np.asarray(self._post(path, body)["vectors"], dtype=np.float32)

    def _post(self, path: str, body: dict[str, Any], **options: Any) -> Any:
        return self._ask("POST", path, json=body, **options).json()

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"The embedder does not answer ({type(error).__name__}).") from None
        if response.is_success:
            return response
        raise as_our_error(response)


def _name_request(request: httpx.Request) -> None:
    """The embedder logs under the id of the request that it works for."""
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        request.headers["X-Request-ID"] = request_id


def as_our_error(response: httpx.Response) -> LineworkError:
    """What an answer without vectors means to a caller of ours."""
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = response.text[:500]
    if response.status_code == 503:
        retry_after = response.headers.get("Retry-After", "2")
        return Unavailable(detail, retry_after=int(retry_after) if retry_after.isdigit() else 2)
    if response.status_code in (401, 403):
        return Unavailable(f"The embedder refuses this gateway: {detail}")
    if 400 <= response.status_code < 500:
        return Unprocessable(detail)
    return Unavailable(f"The embedder failed: {detail}")
