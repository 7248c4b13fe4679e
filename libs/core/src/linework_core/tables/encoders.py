"""Encoders and the vectors of drawings. The embedder writes them."""

import datetime as dt
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import Base, Failure, Filterable


class Encoder(Base):
    __tablename__ = "encoders"
    number: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    encoder_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    spec: Mapped[str]
    content_hash: Mapped[str] = mapped_column(unique=True)
    dimension: Mapped[int]
    has_text: Mapped[bool]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class VectorIndex(Base):
    """All vectors of one encoder. At most one is active; it answers searches."""

    __tablename__ = "indexes"
    __table_args__ = (
        CheckConstraint("state IN ('building', 'ready', 'active', 'retired')", name="index_state"),
        Index("indexes_one_active", "state", unique=True, postgresql_where=text("state = 'active'")),
    )
    encoder: Mapped[int] = mapped_column(ForeignKey("encoders.number"), primary_key=True)
    state: Mapped[str] = mapped_column(server_default="building")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    activated_at: Mapped[dt.datetime | None]
    retired_at: Mapped[dt.datetime | None]
    complete_at: Mapped[int | None] = mapped_column(BigInteger)  # snapshot at which no drawing lacked a vector
    described_at: Mapped[int | None] = mapped_column(BigInteger)  # the same for descriptions
    tried_at: Mapped[int | None] = mapped_column(BigInteger)  # snapshot at which each had a vector or a noted failure
    texts_tried_at: Mapped[int | None] = mapped_column(BigInteger)
    paused_at: Mapped[dt.datetime | None]  # its job was cancelled: none is made until somebody asks
    removed_at: Mapped[dt.datetime | None]  # for good (encoder_removal); its state is 'retired'
    emptied_in: Mapped[int | None] = mapped_column(BigInteger)  # vectors up to this snapshot are gone
    measured: Mapped[dict[str, Any] | None]  # vector_index.Measured: its graphs, and what searching it costs


class Embedding(Filterable, Base):
    """A drawing's vector under one encoder. Partitioned by encoder; each leaf checks its own dimension."""

    __tablename__ = "embeddings"
    __table_args__ = ({"postgresql_partition_by": "LIST (encoder)"},)
    encoder: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    drawing_row: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    drawing_id: Mapped[str]
    derivative: Mapped[str]
    vector: Mapped[Any] = mapped_column(HALFVEC())


class EmbedFailure(Failure, Base):
    """A drawing that could not be embedded."""

    __tablename__ = "embed_failures"
    encoder: Mapped[int] = mapped_column(ForeignKey("encoders.number"), primary_key=True)
    drawing_row: Mapped[int] = mapped_column(ForeignKey("drawings.row_id"), primary_key=True)
