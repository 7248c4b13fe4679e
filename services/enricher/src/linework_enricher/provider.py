"""A model behind HTTP: any server with OpenAI's chat completions (OpenAI, vLLM, Ollama, llama.cpp)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Protocol

import httpx
import structlog
from pydantic import SecretStr
from redis.asyncio import Redis
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from linework_core.settings import ProviderSettings
from linework_enricher.chat import ChatReply, ChatRequest, Completion, Dialect
from linework_enricher.circuit import Circuit
from linework_enricher.errors import (
    BadAnswer,
    EmptyAnswer,
    ProviderDown,
    ProviderError,
    Refused,
    Rejected,
    TimedOut,
    TooLarge,
)
from linework_enricher.limits import Limits
from linework_enricher.statuses import error_of

log = structlog.get_logger()

LARGEST_COMPLAINT = 64 * 1024  # bytes read of a reply that is an error


class Provider(Protocol):
    """Whoever answers questions. `url` and `model` name it in provenance and in the keys of calls."""

    @property
    def url(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def under_way(self) -> asyncio.Semaphore:
        """A place for each call, to be held until its answer is safe: it bounds what a kill can lose."""

    async def chat(self, request: ChatRequest) -> ChatReply:
        """The model's answer. Raises ProviderError."""

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """US dollars."""


class OpenAIProvider:
    """Keeps to the provider's limits, tries again what may get better, and never tells the key.

    A call is tried up to `tries` times; a provider that is down is waited for, up to `patience_s`.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        limits: Limits,
        *,
        key: SecretStr | None = None,
        circuit: Circuit | None = None,
        tries: int = 7,
        backoff_s: float = 1.0,
        patience_s: float = 300.0,
    ) -> None:
        """Raises ValueError for a key that no header can carry."""
        self._settings = settings
        self._limits = limits
        self._secret = _header_value(key)
        self._name = httpx.URL(settings.url).host
        self._circuit = circuit or Circuit(self._name)
        self._patience_s = patience_s
        self._tries = tries
        self._backoff = wait_exponential_jitter(multiplier=backoff_s, max=60.0, jitter=backoff_s)
        self._dialect = Dialect()
        self._under_way = asyncio.Semaphore(settings.concurrency)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.timeout_s, connect=min(10.0, settings.timeout_s), pool=None),
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
            follow_redirects=False,  # the key and the patents go where the operator said, and nowhere else
            # Not compressed, or a small reply could unpack to more than the limit at once
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self._secret}"} if self._secret else {}),
        )

    @property
    def url(self) -> str:
        return self._settings.url

    @property
    def model(self) -> str:
        return self._settings.model

    @property
    def under_way(self) -> asyncio.Semaphore:
        return self._under_way

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return self._settings.cost(tokens_in, tokens_out)

    async def close(self) -> None:
        await self._client.aclose()

    async def chat(self, request: ChatRequest) -> ChatReply:
        """The model's answer. Raises ProviderError, after all tries where trying again may help."""
        dialect = self._dialect
        while True:
            try:
                reply = await self._persistently(request, dialect)
            except Rejected as error:
                simpler = dialect.simpler(error.detail, request) if error.status in (400, 422) else None
                if simpler is None:
                    raise
                dialect = simpler
                continue
            if dialect != self._dialect:  # only what has worked is remembered: the request itself may be at fault
                log.info("simpler requests", provider=self._name, answers=dialect.answers, limit=dialect.limit)
                self._dialect = dialect
            return reply

    async def _persistently(self, request: ChatRequest, dialect: Dialect) -> ChatReply:
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, ProviderError) and error.transient),
            wait=self._pause_after,
            stop=self._gives_up,
            before_sleep=self._log_retry,
            reraise=True,
        )
        return await retrying(self._once, request, dialect)

    async def _once(self, request: ChatRequest, dialect: Dialect) -> ChatReply:
        """One request, when the circuit and the limits let it pass."""
        while True:
            async with (
                self._circuit.passage(self._patience_s) as passage,
                self._limits.slot(request.tokens()) as slot,
            ):
                if not passage.use():
                    slot.used = 0
                    continue
                try:
                    reply = await self._send(dialect.body(request, self.model), request)
                except ProviderError as error:
                    if error.retry_after:
                        await self._limits.pause(min(error.retry_after, self._patience_s))
                    raise
                slot.used = reply.tokens_in + reply.tokens_out
                return reply

    async def _send(self, body: bytes, request: ChatRequest) -> ChatReply:
        started = monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                data = await self._exchange(body)
        except (TimeoutError, httpx.TimeoutException):
            raise TimedOut(f"{self._name} gave no answer in {self._settings.timeout_s:g} s.") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ProviderDown(f"{self._name} cannot be reached ({type(error).__name__}).") from None
        except TooLarge as error:
            error.tokens_in, error.tokens_out = request.tokens() - request.max_tokens, request.max_tokens
            raise
        return self._read_answer(data, request, latency_ms=round((monotonic() - started) * 1000))

    async def _exchange(self, body: bytes) -> bytes:
        """The reply's body, read as far as the limit. Raises ProviderError for any status but 200."""
        endpoint = self._settings.url.rstrip("/") + "/chat/completions"
        async with self._client.stream("POST", endpoint, content=body) as response:
            try:
                if response.status_code != 200:
                    complaint = await _read(response, LARGEST_COMPLAINT, cut=True)
                    raise error_of(self._name, response, complaint, self._secret)
                return await _read(response, self._settings.max_answer_bytes)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                raise BadAnswer(f"{self._name} broke off in the middle of its answer.", "cut-off") from None

    def _read_answer(self, data: bytes, request: ChatRequest, latency_ms: int) -> ChatReply:
        try:
            completion = Completion.read(data)
        except ValueError:  # its message would quote the answer
            raise BadAnswer(f"{self._name} answered with no chat completion.", "not-a-completion") from None
        text = completion.text.replace(self._secret, "[key]") if self._secret else completion.text
        usage = completion.usage
        tokens_in = usage.prompt_tokens if usage else request.tokens() - request.max_tokens
        tokens_out = usage.completion_tokens if usage else len(text) // 3
        billed = {"tokens_in": tokens_in, "tokens_out": tokens_out, "latency_ms": latency_ms}
        if completion.refused:
            raise Refused(f"{self.model} declined to answer.", **billed)
        if not text.strip():
            raise EmptyAnswer(f"{self.model} answered with no text.", **billed)
        return ChatReply(text, tokens_in, tokens_out, latency_ms, completion.model or self.model)

    def _pause_after(self, state: RetryCallState) -> float:
        """Exponential with jitter, never earlier than the server asked for. An open circuit makes its own pauses."""
        return max(0.0 if self._circuit.is_open else self._backoff(state), _retry_after(state))

    def _gives_up(self, state: RetryCallState) -> bool:
        """After all tries, of which those of an outage are none: that is waited for, as long as patience lasts."""
        if self._circuit.is_open:
            return max(self._circuit.down_s, _retry_after(state)) > self._patience_s
        return state.attempt_number >= self._tries or _retry_after(state) > self._patience_s

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        reason = error.reason if isinstance(error, ProviderError) else None
        log.info("asking again", provider=self._name, reason=reason, attempt=state.attempt_number)


@asynccontextmanager
async def opened(settings: ProviderSettings, key: SecretStr | None, redis: Redis) -> AsyncIterator[Provider]:
    """The provider of the settings, under limits that hold over all workers that use the same `redis`."""
    digest = hashlib.sha256(f"{settings.url} {settings.model}".encode()).hexdigest()[:16]
    limits = Limits(
        redis,
        digest,
        concurrency=settings.concurrency,
        lease_s=settings.timeout_s + 5,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
    )
    provider = OpenAIProvider(settings, limits, key=key, tries=settings.tries, patience_s=settings.patience_s)
    try:
        yield provider
    finally:
        await provider.close()


async def _read(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    """The body. One longer than `limit` bytes is left in the wire: TooLarge, or with `cut` what was read."""
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > limit and not cut:
            raise TooLarge(f"The answer is longer than {limit} bytes.")
        if len(data) > limit:
            break
    return bytes(data[:limit])


def _header_value(key: SecretStr | None) -> str:
    value = key.get_secret_value().strip() if key else ""
    if not (value.isascii() and value.isprintable()):  # found out here, where no message quotes it
        raise ValueError("The API key of the provider has characters that no key has.")
    return value


def _retry_after(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, ProviderError) else 0.0
