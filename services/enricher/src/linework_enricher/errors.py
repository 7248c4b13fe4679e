"""What can go wrong with a model behind HTTP, each with the stable reason that counts and records use.

ProviderError
├── ProviderDown          provider-down           no connection, 5xx, or the circuit stays open
├── TimedOut              provider-timed-out      no complete answer in time
├── RateLimited           provider-rate-limited   429
├── Rejected              provider-rejected       the server will not take the request, now or later
├── BadAnswer             answer-<kind>           what came back is cut off, or no chat completion
└── Unusable              an answer was made, and very likely billed, but there is no text to use
    ├── Refused           model-refused           the model declined
    ├── TooLarge          answer-too-large        cut off at the byte limit
    └── EmptyAnswer       answer-empty            no text

No message holds the API key, a request or more than a line of what a server said.
"""

from typing import ClassVar


class ProviderError(Exception):
    """A call that gave no text. `transient` ones may succeed when they are sent again as they are.

    `outage` marks those that speak for a provider that is down; many in a row open its circuit.
    """

    name: ClassVar[str] = "provider-error"
    transient: ClassVar[bool] = False
    outage: ClassVar[bool] = False

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        """`retry_after` in seconds, where the server gave it."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    @property
    def reason(self) -> str:
        """Kebab-case, and never changed: jobs count by it."""
        return self.name


class ProviderDown(ProviderError):
    name, transient, outage = "provider-down", True, True


class StaysDown(ProviderDown):
    """The circuit stayed open for longer than a call waits."""

    transient = False


class TimedOut(ProviderError):
    name, transient, outage = "provider-timed-out", True, True


class RateLimited(ProviderError):
    name, transient = "provider-rate-limited", True


class Rejected(ProviderError):
    """Refused whenever it is sent; with `every_call`, so is any other request (a wrong key, no such model)."""

    name = "provider-rejected"

    def __init__(self, detail: str, status: int, *, every_call: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.every_call = every_call


class Unusable(ProviderError):
    """An answer that was made, and very likely billed, but has no text that can be used."""

    def __init__(self, detail: str, *, tokens_in: int = 0, tokens_out: int = 0, latency_ms: int = 0) -> None:
        super().__init__(detail)
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out
        self.latency_ms = latency_ms


class Refused(Unusable):
    name = "model-refused"


class TooLarge(Unusable):
    name = "answer-too-large"


class EmptyAnswer(Unusable):
    name = "answer-empty"


class BadAnswer(ProviderError):
    """A reply that is broken below the text: `kind` is 'cut-off' or 'not-a-completion'."""

    name, transient, outage = "answer", True, True

    def __init__(self, detail: str, kind: str) -> None:
        super().__init__(detail)
        self.kind = kind

    @property
    def reason(self) -> str:
        return f"answer-{self.kind}"
