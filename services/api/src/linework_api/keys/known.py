"""Recognising a key quickly: Postgres is asked once in a few seconds, not with every request."""

import asyncio
import datetime as dt
import hmac
import time
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy import Engine, func, or_, select, update

from linework_api.keys.schemas import CallerKey, state_of
from linework_core.db import transaction
from linework_core.errors import Busy, Unauthorized
from linework_core.settings import sha256
from linework_core.tables import ApiKey
from linework_core.tables.callers import PREFIX

BELIEVED_S = 5.0  # how long a key goes on after it was revoked by another process
NOTED = dt.timedelta(minutes=1)  # how often a key's last use is written down
LONGEST_KEY = 512
STRANGERS = 200  # unknown keys that may wait for Postgres


class KnownKeys:
    """The keys that callers of this process have used lately. Only real ones are remembered, so they are few."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, CallerKey]] = {}
        self._asking: dict[str, asyncio.Task[CallerKey | None]] = {}
        self._forgotten = 0  # how often
        # a flood of wrong keys keeps no caller waiting whose key was right a moment ago
        self._callers, self._strangers = CapacityLimiter(1), CapacityLimiter(1)

    async def find(self, key: str) -> CallerKey:
        """Raises Unauthorized for a key that is unknown, expired or revoked."""
        digest = sha256(key)
        until, caller = self._known.get(digest, (0.0, None))
        began = self._forgotten
        if caller is None or time.monotonic() >= until:
            caller = await self._asked(digest) if len(key) <= LONGEST_KEY else None
            if caller is None:
                self._known.pop(digest, None)
                raise _refusal("This API key is not known here.")
            if began == self._forgotten:
                self._known[digest] = (time.monotonic() + BELIEVED_S, caller)
        if (state := state_of(caller)) != "usable":
            raise _refusal("This API key has been revoked." if state == "revoked" else "This API key has expired.")
        return caller

    async def _asked(self, digest: str) -> CallerKey | None:
        """What Postgres says, asked once for all requests that come with the key meanwhile."""
        asking = self._asking.get(digest)
        if asking is None:
            threads = self._callers if digest in self._known else self._strangers
            if threads.statistics().tasks_waiting >= STRANGERS:
                raise Busy("Too many unknown keys are being looked up.", retry_after=2)
            asking = asyncio.create_task(run_sync(self._read, digest, limiter=threads))
            self._asking[digest] = asking
            asking.add_done_callback(partial(self._answered, digest))
        return await asyncio.shield(asking)

    def _answered(self, digest: str, asking: "asyncio.Task[CallerKey | None]") -> None:
        if self._asking.get(digest) is asking:
            del self._asking[digest]

    def forget(self) -> None:
        """Ask Postgres again: a key was made or revoked here."""
        self._forgotten += 1  # what is being read now may be what was true before
        self._known.clear()
        self._asking.clear()

    def _read(self, digest: str) -> CallerKey | None:
        """Found by a part of the hash, so that the time of an index tells nothing of the rest."""
        with transaction(self._engine) as session:
            alike = session.scalars(select(ApiKey).where(ApiKey.prefix == digest[:PREFIX])).all()
            found = next((row for row in alike if hmac.compare_digest(row.digest, digest)), None)
            if found is not None and state_of(found) == "usable":
                stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - NOTED)
                noted = update(ApiKey).where(ApiKey.id == found.id, stale).values(last_used_at=func.now())
                if found.last_used_at is None or found.last_used_at < dt.datetime.now(dt.UTC) - NOTED:
                    session.execute(noted, execution_options={"synchronize_session": False})
            return None if found is None else CallerKey.of(found)


def _refusal(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
