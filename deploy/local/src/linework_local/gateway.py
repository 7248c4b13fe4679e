"""The gateway as its callers see it: the few calls that the stack and the demo make."""

from typing import Any

import httpx

from linework_local.errors import StackError


class Gateway:
    """The HTTP API of one stack. Answers are the JSON objects of the API's contract."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = httpx.Client(base_url=address, timeout=60, trust_env=False)  # no proxy on the way to us

    def not_ready(self) -> str | None:
        """Why the gateway is not ready, in its own words; None when it is."""
        try:
            answer = self._client.get("/health/ready", timeout=10)
        except httpx.ConnectError:
            return "the gateway does not listen yet"
        except httpx.HTTPError as error:
            return f"the gateway does not answer ({error})"
        return None if answer.status_code == 200 else _reason(answer)

    def ingest(self, uri: str) -> dict[str, Any]:
        return self._call("POST", "/ingest", json={"uri": uri})

    def job(self, job_id: str) -> dict[str, Any]:
        return self._call("GET", f"/jobs/{job_id}")

    def corpus(self) -> dict[str, Any]:
        return self._call("GET", "/corpus")

    def patent(self, patent_id: str) -> dict[str, Any]:
        return self._call("GET", f"/patents/{patent_id}")

    def search(self, **query: str | int) -> dict[str, Any]:
        return self._call("GET", "/search", params=query)

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Raises StackError with the reason that the gateway gives."""
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise StackError(f"{method} {path} failed: {error}", "See make status and make logs.") from error
        if answer.is_error:
            raise StackError(f"{method} {path} was refused: {_reason(answer)}")
        found: dict[str, Any] = answer.json()
        return found


def _reason(answer: httpx.Response) -> str:
    """The parts that are down, what a problem document says, or the beginning of whatever else came."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    match body:
        case {"parts": dict(parts)}:
            return ", ".join(f"{part}: {state}" for part, state in parts.items() if state != "ok")
        case {"detail": str(detail)}:
            return detail
        case _:
            return f"{answer.status_code} {answer.text[:200]}"
