"""What may happen to keys. Only their hashes are kept: SHA-256 is enough for 256 random bits, which nobody guesses."""

import datetime as dt
import secrets
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select, text, tuple_, update
from sqlalchemy.orm import Session

from linework_api.keys.schemas import Grant
from linework_core.errors import NotFound
from linework_core.settings import sha256
from linework_core.tables import ApiKey
from linework_core.tables.callers import PREFIX

BOOTSTRAP = "bootstrap"  # name of the first admin


def new_key() -> str:
    """256 random bits, with a mark by which scanners for leaked secrets know it."""
    return f"lw_{secrets.token_urlsafe(32)}"


def add(session: Session, grant: Grant, key: str, *, by: str) -> ApiKey:
    """Keep a key's hash with what it may do."""
    digest = sha256(key)
    added = ApiKey(**grant.model_dump(), prefix=digest[:PREFIX], digest=digest, created_by=by)
    session.add(added)
    session.flush()
    session.refresh(added)
    return added


def page(session: Session, *, after: tuple[dt.datetime, UUID] | None, limit: int) -> Sequence[ApiKey]:
    """Keys, the newest first, after the one at (created_at, id)."""
    place = (ApiKey.created_at, ApiKey.id)
    wanted = select(ApiKey) if after is None else select(ApiKey).where(tuple_(*place) < after)
    return session.scalars(wanted.order_by(*(column.desc() for column in place)).limit(limit)).all()


def revoke(session: Session, key_id: UUID) -> ApiKey:
    """End a key; what is revoked stays as it is. Raises NotFound."""
    key = session.get(ApiKey, key_id, with_for_update=True)
    if key is None:
        raise NotFound(f"There is no key {key_id}.")
    if key.revoked_at is None:
        key.revoked_at = func.now()
        session.flush()
        session.refresh(key)
    return key


def bootstrap(session: Session, key: str) -> ApiKey | None:
    """Make this the one key of the first admin, if it never was one. None where there is nothing to do.

    A key that it replaces is revoked. One that was revoked by hand stays so.
    """
    session.execute(text("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE"))  # two that start together
    if session.scalar(select(exists().where(ApiKey.digest == sha256(key)))):
        return None
    older = update(ApiKey).where(ApiKey.name == BOOTSTRAP, ApiKey.created_by == BOOTSTRAP, ApiKey.revoked_at.is_(None))
    session.execute(older.values(revoked_at=func.now()))
    return add(session, Grant(name=BOOTSTRAP, scopes=["admin"]), key, by=BOOTSTRAP)


def any_usable(session: Session) -> bool:
    """Whether anybody could call."""
    return bool(session.scalar(select(exists().where(usable()))))


def usable() -> ColumnElement[bool]:
    """Neither revoked nor expired."""
    return ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
