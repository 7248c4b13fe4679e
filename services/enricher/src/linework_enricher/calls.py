"""The same call is never sent twice: not by two workers, not after a restart, not where the model declined.

Whoever sends a call holds a claim on its row and keeps it fresh; all others wait for the answer. The claim of a worker
that was killed expires, so that a kill costs the calls that were under way and no more. An answer has been paid for:
while Postgres is away it is kept, and storing it is tried again.
"""

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast
from uuid import UUID
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import Connection, Engine, Interval, Row, Table, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from linework_core.tables import LlmCall
from linework_enricher.chat import ChatReply, ChatRequest
from linework_enricher.errors import EmptyAnswer, Refused, TooLarge, Unusable
from linework_enricher.provider import Provider
from linework_enricher.purse import Spent

log = structlog.get_logger()

Result = TypeVar("Result")
SETTLED: dict[str, type[Unusable]] = {error.name: error for error in (Refused, TooLarge, EmptyAnswer)}


@dataclass(frozen=True, slots=True)
class Answered:
    """A call's answer; `cached` where it was made earlier, or by another worker. Cost in US dollars."""

    key: str
    text: str
    tokens_in: int
    tokens_out: int
    cost: float
    latency_ms: int
    cached: bool


class Calls:
    """Calls to models through the table llm_calls, for one worker."""

    def __init__(
        self, engine: Engine, *, payer: UUID | None = None, claim_s: float = 30.0, database_patience_s: float = 300.0
    ) -> None:
        """`payer` is the job that the calls are made for. A claim not renewed for `claim_s` may be taken over; Postgres
        may be away for `database_patience_s`.
        """
        self._engine = engine
        self._payer = payer
        self._claim_s = claim_s
        self._patience_s = database_patience_s
        # In one process the second to ask waits here, and for no poll of the database
        self._here: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ask(self, provider: Provider, request: ChatRequest, *, purpose: str, prompt: str) -> Answered:
        """The answer to `request`, sent at most once. `prompt` is the version of the prompt, for provenance.

        Raises ProviderError; an Unusable answer is remembered and raised again, without a call, each time. Any other
        failure settles nothing: whoever waited for this call makes it then.
        """
        key = request.key(provider.url, provider.model)
        lock = self._here.setdefault(key, asyncio.Lock())
        async with lock:
            claim = secrets.token_hex(8)
            known = {"key": key, "purpose": purpose, "prompt": prompt}
            known |= {"provider_url": provider.url, "model": provider.model}
            if row := await self._answered_or_claimed(known, claim):
                return _answer_of(row, cached=True)
            async with self._claimed(key, claim), provider.under_way:
                reply: ChatReply | Unusable
                try:
                    reply = await provider.chat(request)
                except Unusable as error:
                    reply = error
                stored = await self._database(lambda connection: _store(connection, provider, key, reply, self._payer))
            return _answer_of(stored, cached=False)

    async def knows(self, provider: Provider, request: ChatRequest) -> bool:
        """Whether asking would be answered from the cache, for nothing."""
        key = request.key(provider.url, provider.model)
        return bool(await self._database(lambda connection: known(connection, [key])))

    async def _answered_or_claimed(self, known: dict[str, str], claim: str) -> Row[Any] | None:
        """The answered call, once another worker has it; None when it is ours to make."""
        pause_s = 0.05
        while True:
            row = await self._database(lambda connection: _claim(connection, known, claim, self._claim_s))
            if row.answered_at:
                return row
            if row.claimed_by == claim:
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 1.0)

    @asynccontextmanager
    async def _claimed(self, key: str, claim: str) -> AsyncIterator[None]:
        """Keeps the claim fresh; gives it back where there is no answer, for storing an answer ends it."""
        renewing = asyncio.create_task(self._keep_renewing(key, claim))
        try:
            yield
        except BaseException:
            renewing.cancel()
            await asyncio.shield(self._give_back(key, claim))
            raise
        finally:
            renewing.cancel()

    async def _keep_renewing(self, key: str, claim: str) -> None:
        while True:
            await asyncio.sleep(self._claim_s / 3)
            await self._database(lambda connection: _renew(connection, key, claim, self._claim_s))

    async def _give_back(self, key: str, claim: str) -> None:
        """An answered call has no claim any more, and any other may be made by the next who asks."""
        try:
            await asyncio.to_thread(self._transact, lambda connection: _renew(connection, key, claim, 0))
        except (DBAPIError, PoolTimeout) as error:  # then it expires
            log.warning("claim not given back", error=type(error).__name__)

    async def _database(self, action: Callable[[Connection], Result]) -> Result:
        """Does `action` in a transaction, off the event loop; once more, and again, while Postgres is away."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_away),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            stop=stop_after_delay(self._patience_s),
            before_sleep=lambda state: log.warning("waiting for Postgres", attempt=state.attempt_number),
            reraise=True,
        )
        return await retrying(asyncio.to_thread, self._transact, action)

    def _transact(self, action: Callable[[Connection], Result]) -> Result:
        with self._engine.begin() as connection:
            return action(connection)


def known(session: Session | Connection, keys: Collection[str]) -> dict[str, str | None]:
    """The answers of those of these calls that have been answered, by key; None where the answer had no text."""
    answered = select(LlmCall.key, LlmCall.answer).where(LlmCall.key.in_(keys), LlmCall.answered_at.is_not(None))
    return dict(session.execute(answered).all())


def spent_before(session: Session, job_id: UUID, result: Mapping[str, Any]) -> Spent:
    """What earlier runs of a job have spent: by the calls that name it, which are stored with their answers, so that
    no kill loses any; or by its `result` so far, where that says more (calls of an earlier release name no job).
    """
    sums = select(func.count(), func.sum(LlmCall.tokens_in), func.sum(LlmCall.tokens_out), func.sum(LlmCall.cost))
    calls, tokens_in, tokens_out, cost = session.execute(sums.where(LlmCall.job_id == job_id)).one()
    paid = Spent(calls=calls, tokens_in=int(tokens_in or 0), tokens_out=int(tokens_out or 0), cost=float(cost or 0))
    return Spent(**{one.name: max(getattr(paid, one.name), result.get(one.name, 0)) for one in fields(Spent)})


def _is_away(error: BaseException) -> bool:
    """The connection broke, none could be made, or the server is starting or stopping."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


# Statements made once: making one takes longer than Postgres takes to answer it
_CALLS = cast(Table, LlmCall.__table__)
_UNTIL = func.clock_timestamp() + bindparam("term", type_=Interval)
_READ = select(_CALLS).where(_CALLS.c.key == bindparam("call"))
_NEW = insert(LlmCall).values(
    **{name: bindparam(name) for name in ("key", "purpose", "prompt", "provider_url", "model", "claimed_by")},
    claimed_until=_UNTIL,
)
_CLAIM = _NEW.on_conflict_do_update(
    index_elements=["key"],
    set_={"claimed_by": _NEW.excluded.claimed_by, "claimed_until": _NEW.excluded.claimed_until},
    where=(_CALLS.c.answered_at.is_(None))
    & or_(_CALLS.c.claimed_until.is_(None), _CALLS.c.claimed_until <= func.clock_timestamp()),
).returning(_CALLS)
_RENEW = (
    update(_CALLS)
    .where(_CALLS.c.key == bindparam("call"), _CALLS.c.claimed_by == bindparam("claim"))
    .values(claimed_until=_UNTIL)
)
_TOLD = ("answer", "fault", "tokens_in", "tokens_out", "cost", "latency_ms", "job_id")
_STORE = (
    update(_CALLS)
    .where(_CALLS.c.key == bindparam("call"), _CALLS.c.answered_at.is_(None))
    .values(
        **{name: bindparam(name) for name in _TOLD},
        answered_at=func.clock_timestamp(),
        claimed_by=None,
        claimed_until=None,
    )
    .returning(_CALLS)
)


def _claim(connection: Connection, known: dict[str, str], claim: str, seconds: float) -> Row[Any]:
    """The call's row: answered, claimed by `claim`, or claimed by another."""
    values = {**known, "claimed_by": claim, "term": dt.timedelta(seconds=seconds)}
    claimed = connection.execute(_CLAIM, values).one_or_none()
    return claimed or connection.execute(_READ, {"call": known["key"]}).one()


def _renew(connection: Connection, key: str, claim: str, seconds: float) -> None:
    """The claim ends in so many seconds, if it is still ours."""
    connection.execute(_RENEW, {"call": key, "claim": claim, "term": dt.timedelta(seconds=seconds)})


def _store(
    connection: Connection, provider: Provider, key: str, reply: ChatReply | Unusable, payer: UUID | None
) -> Row[Any]:
    """The answered row. The first answer stays: a worker that was slow, and lost its claim, learns of that one."""
    values = {
        "call": key,
        "answer": reply.text if isinstance(reply, ChatReply) else None,
        "fault": None if isinstance(reply, ChatReply) else reply.reason,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "cost": provider.cost(reply.tokens_in, reply.tokens_out),
        "latency_ms": reply.latency_ms,
        "job_id": payer,
    }
    stored = connection.execute(_STORE, values).one_or_none()
    return stored or connection.execute(_READ, {"call": key}).one()


def _answer_of(row: Row[Any], *, cached: bool) -> Answered:
    """The answer in the row. Raises the Unusable that it holds instead; what that cost is told to the first only."""
    tokens_in, tokens_out = row.tokens_in or 0, row.tokens_out or 0
    latency_ms = round(row.latency_ms or 0)
    if row.fault is not None:
        paid = (0, 0, 0) if cached else (tokens_in, tokens_out, latency_ms)
        error = SETTLED.get(row.fault, Unusable)
        raise error(f"{row.model} gave no usable answer ({row.fault}).", tokens_in=paid[0], tokens_out=paid[1],
                    latency_ms=paid[2])  # fmt: skip
    return Answered(row.key, row.answer or "", tokens_in, tokens_out, float(row.cost or 0), latency_ms, cached)
