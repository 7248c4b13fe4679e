"""Keys as admins write and read them."""

import datetime as dt
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from linework_core.tables import ApiKey

Scope = Literal["search", "ingest", "enrich", "train", "admin"]
EVERYTHING: frozenset[Scope] = frozenset({"search", "ingest", "enrich", "train", "admin"})
OURS = frozenset({"linework", "local", "shell", "command-line", "everyone"})  # owners of what no caller's key has made
LONGEST = dt.timedelta(days=36525)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", description="The caller's name.")]


class Grant(BaseModel):
    """What a new key is for. Keys of one name are one caller's: jobs, searches, rates and quotas are the name's."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=5, description="'admin' implies all others.")
    expires_at: AwareDatetime | None = Field(None, description="From then on it is refused; null: never.")
    rate_per_minute: int | None = Field(
        None, ge=1, le=10**6, description="Requests in any minute; null: RATE_LIMIT_PER_MINUTE."
    )
    searches_per_day: int | None = Field(None, ge=0, le=10**9, description="In a day of UTC; null is no limit.")
    llm_usd_per_month: Decimal | None = Field(
        None, ge=0, le=10**9, decimal_places=6, description="What descriptions and titles may cost in a month of UTC."
    )

    @field_validator("name")
    @classmethod
    def _nobody_elses(cls, name: str) -> str:
        if name in OURS:
            raise ValueError("is a name that Linework uses itself")
        return name

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, scopes: list[Scope]) -> list[Scope]:
        return sorted(set(scopes))

    @field_validator("expires_at")
    @classmethod
    def _in_some_future(cls, time: dt.datetime | None) -> dt.datetime | None:
        now = dt.datetime.now(dt.UTC)
        if time is not None and not now < time < now + LONGEST:
            raise ValueError("must be in the future, and at most 100 years ahead")
        return time


class KeyView(BaseModel):
    """A key, but for itself. `last_used_at` is right to a minute."""

    id: UUID
    name: str
    scopes: list[Scope]
    state: Literal["usable", "expired", "revoked"]
    rate_per_minute: int | None
    searches_per_day: int | None
    llm_usd_per_month: float | None
    created_at: dt.datetime
    created_by: str
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyView":
        fields = {name: getattr(key, name) for name in KeyView.model_fields if name != "state"}
        return KeyView(state=state_of(key), **fields)


class KeyMade(KeyView):
    """A new key. `key` is shown here and never again."""

    key: str


class KeyPage(BaseModel):
    keys: list[KeyView]
    next: str | None


@dataclass(frozen=True, slots=True)
class CallerKey:
    """What a gateway keeps of a key. Unlike a row, it belongs to no session."""

    id: UUID
    name: str
    scopes: list[str]
    rate_per_minute: int | None
    searches_per_day: int | None
    llm_usd_per_month: Decimal | None
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "CallerKey":
        return cls(**{field.name: getattr(key, field.name) for field in fields(cls)})


def state_of(key: ApiKey | CallerKey) -> Literal["usable", "expired", "revoked"]:
    """Whether it is accepted now."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= dt.datetime.now(dt.UTC) else "usable"
