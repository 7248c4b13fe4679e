"""Searches. The gateway writes them, and its worker those of a batch."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import Base, row_key


class Search(Base):
    """What was asked, on which snapshot, and what was answered; enough to answer it again.

    Rows of versions never change, so the ranked rows and their scores are the whole answer.
    """

    __tablename__ = "searches"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    owner: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), index=True)
    request: Mapped[dict[str, Any]]  # as asked: filters, ids, text, hashes of images
    query: Mapped[dict[str, Any]]  # as understood: filters resolved, weights, patents left out
    vectors: Mapped[bytes | None]  # of the query, float32 little-endian, row after row
    encoder: Mapped[int] = mapped_column(ForeignKey("encoders.number"))
    snapshot: Mapped[int] = mapped_column(BigInteger)
    plan: Mapped[dict[str, Any]]
    answer: Mapped[dict[str, Any]]  # all of it but the hits
    rows: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))  # of drawings, ranked
    scores: Mapped[list[dict[str, Any]]]  # score, image, text; one a row
    took_ms: Mapped[float]
    erased: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # patents that it showed or asked by


class SearchShare(Base):
    """Who else may read the record of a search: a caller, or everyone who may search (None). Revoked ones stay."""

    __tablename__ = "search_shares"
    __table_args__ = (
        Index(
            "search_shares_open",
            "search_id",
            text("coalesce(caller, '')"),
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )
    id: Mapped[int] = row_key()
    search_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("searches.id", ondelete="CASCADE"), index=True)
    caller: Mapped[str | None]
    shared_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    shared_by: Mapped[str]
    revoked_at: Mapped[dt.datetime | None]
    revoked_by: Mapped[str | None]


class Unrecorded(Base):
    """How many searches were made with `record=false`: nothing else is kept of them."""

    __tablename__ = "unrecorded_searches"
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    searches: Mapped[int]


class BatchQuery(Base):
    """One query of a batch search. Who has one that was not searched yet has work to do."""

    __tablename__ = "batch_queries"
    __table_args__ = (
        Index("batch_queries_waiting", "job_id", "ordinal", postgresql_where=text("searched_at IS NULL")),
    )
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)  # from 1
    query: Mapped[str]  # a patent's id, or a picture's name in its archive
    searched_at: Mapped[dt.datetime | None] = mapped_column(index=True)
    # what came of it: a search, or a reason why there is none
    search_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("searches.id", ondelete="CASCADE"), index=True)
    reason: Mapped[str | None]
    detail: Mapped[str | None]
