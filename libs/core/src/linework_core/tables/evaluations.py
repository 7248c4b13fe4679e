"""Evaluations. The trainer writes them."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import Base


class Evaluation(Base):
    """How good an encoder's rankings are by one protocol, on one snapshot. Its id is its job's; it never changes."""

    __tablename__ = "evaluations"
    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    encoder: Mapped[int] = mapped_column(ForeignKey("encoders.number"))
    protocol: Mapped[str] = mapped_column(index=True)
    snapshot: Mapped[int] = mapped_column(BigInteger)
    seed: Mapped[int] = mapped_column(BigInteger)
    request: Mapped[dict[str, Any]]  # evaluations.EvaluationRequest, as it was understood
    results: Mapped[dict[str, Any]]
    artefacts: Mapped[dict[str, Any]]  # name → SHA-256, the key in the object store
    device: Mapped[str]
    seconds: Mapped[float]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
