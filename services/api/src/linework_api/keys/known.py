"""Recognising a key quickly: Postgres is asked once in a few seconds, not with every request."""

import datetime as dt
import hmac
import time

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine, func, or_, select, update

from linework_api.keys.schemas import CallerKey, state_of
from linework_core.db import transaction
from linework_core.errors import Unauthorized
from linework_core.settings import sha256
from linework_core.tables import ApiKey
from linework_core.tables.callers import PREFIX

BELIEVED_S = 5.0  # how long a key goes on after it was revoked by another process
NOTED = dt.timedelta(minutes=1)  # how often a key's last use is written down
LONGEST_KEY = 512


class KnownKeys:
    """The keys that callers of this process have used lately. Only real ones are remembered, so they are few."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, CallerKey]] = {}

    async def find(self, key: str) -> CallerKey:
        """Raises Unauthorized for a key that is unknown, expired or revoked."""
        digest = sha256(key)
        until, caller = self._known.get(digest, (0.0, None))
        if caller is None or time.monotonic() >= until:
            caller = await run_in_threadpool(self._read, digest) if len(key) <= LONGEST_KEY else None
            if caller is None:
                self._known.pop(digest, None)
                raise _refusal("This API key is not known here.")
            self._known[digest] = (time.monotonic() + BELIEVED_S, caller)
        if (state := state_of(caller)) != "usable":
            raise _refusal("This API key has been revoked." if state == "revoked" else "This API key has expired.")
        return caller

    def forget(self) -> None:
        """Ask Postgres again: a key was made or revoked here."""
        self._known.clear()

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
