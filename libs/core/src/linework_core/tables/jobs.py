"""Jobs, which the gateway and the workers write, and idempotency keys, which the gateway writes."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import Base


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="job_state"),
        Index("jobs_undone", "kind", "created_at", postgresql_where=text("state IN ('queued', 'running')")),
        Index(
            "jobs_one_embed_per_encoder",
            text("(params ->> 'encoder')"),
            unique=True,
            postgresql_where=text("kind = 'embed' AND state IN ('queued', 'running')"),
        ),
        Index("jobs_by_time", "created_at", "id"),
        Index("jobs_taken", "owner", "kind", "taken_at"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kind: Mapped[str]
    owner: Mapped[str]
    params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    origin: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # what asked: `request_id`, `traceparent`
    state: Mapped[str] = mapped_column(server_default="queued")
    total: Mapped[int | None]  # None until it is known
    done: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    tries: Mapped[int] = mapped_column(server_default="0")  # starts since it last got further than ever before
    furthest: Mapped[int] = mapped_column(server_default="0")  # most items counted in any one run
    not_before: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    taken_at: Mapped[dt.datetime | None]  # when a worker took it last
    lease_holder: Mapped[str | None]
    lease_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class IdempotencyKey(Base):
    """The answer that a repeated POST gets again."""

    __tablename__ = "idempotency_keys"
    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]  # SHA-256 of what was asked
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), index=True)
