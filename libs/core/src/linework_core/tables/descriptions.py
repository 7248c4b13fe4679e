"""What models said of drawings, and the vectors of it.

The enricher writes descriptions, enrich_failures, llm_calls and cluster_titles; the embedder writes the vectors
and their failures.
"""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import CHAR, BigInteger, ForeignKey, Index, Numeric, SmallInteger, func
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import OPEN, Base, Failure, row_key


class Description(Base):
    """One complete set of texts about a drawing, and where it comes from. A newer set closes the older."""

    __tablename__ = "descriptions"
    __table_args__ = (
        Index("descriptions_open", "drawing_row", unique=True, postgresql_where=OPEN),
        Index("descriptions_once", "drawing_row", "recipe", "facts", unique=True),
        Index("descriptions_words", "words", postgresql_using="gin"),
    )
    id: Mapped[int] = row_key()
    drawing_row: Mapped[int] = mapped_column(ForeignKey("drawings.row_id"))
    drawing_id: Mapped[str] = mapped_column(index=True)
    patent_id: Mapped[str] = mapped_column(index=True)
    texts: Mapped[list[dict[str, Any]]]  # {"text", "language"}; a machine's words, untrusted everywhere
    provider: Mapped[str]  # 'template' or 'openai'
    model: Mapped[str | None]
    captioner: Mapped[str | None]  # the vision model; None where none looked
    prompt: Mapped[str]  # hash of the prompt files used
    facts: Mapped[str]  # hash of the facts given
    recipe: Mapped[str]  # hash of provider, model, captioner, prompt, number and languages of the texts
    tokens_in: Mapped[int] = mapped_column(server_default="0")  # of the calls first made for it
    tokens_out: Mapped[int] = mapped_column(server_default="0")
    cost: Mapped[Decimal] = mapped_column(Numeric, server_default="0")  # US dollars, of the same calls
    latency_ms: Mapped[float] = mapped_column(server_default="0")
    calls: Mapped[list[str]] = mapped_column(server_default="{}")  # keys of llm_calls
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    words: Mapped[Any] = mapped_column(TSVECTOR, server_default="")  # weight C
    added_in: Mapped[int] = mapped_column(BigInteger, index=True)
    removed_in: Mapped[int | None] = mapped_column(BigInteger)


class DescriptionVector(Base):
    """The vector of a drawing's descriptions under one encoder with a text tower.

    It is true until the newer set of the drawing has its own, so that a drawing once described stays comparable.
    """

    __tablename__ = "description_vectors"
    __table_args__ = (Index("description_vectors_open", "drawing_row", "encoder", unique=True, postgresql_where=OPEN),)
    encoder: Mapped[int] = mapped_column(SmallInteger, ForeignKey("encoders.number"), primary_key=True)
    drawing_row: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    description: Mapped[int] = mapped_column(BigInteger, ForeignKey("descriptions.id"), primary_key=True)
    vector: Mapped[Any] = mapped_column(HALFVEC())
    added_in: Mapped[int] = mapped_column(BigInteger)
    removed_in: Mapped[int | None] = mapped_column(BigInteger)


class DescriptionVectorFailure(Failure, Base):
    """A set of descriptions that could not be given its vector."""

    __tablename__ = "description_vector_failures"
    encoder: Mapped[int] = mapped_column(SmallInteger, ForeignKey("encoders.number"), primary_key=True)
    description: Mapped[int] = mapped_column(BigInteger, ForeignKey("descriptions.id"), primary_key=True)


class EnrichFailure(Failure, Base):
    """A drawing that could not be described by a recipe. Its reason is kebab-case and stable."""

    __tablename__ = "enrich_failures"
    drawing_row: Mapped[int] = mapped_column(ForeignKey("drawings.row_id"), primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    detail: Mapped[str]


class LlmCall(Base):
    """A call to a model: who makes it now, or what was answered. The same call is never made twice."""

    __tablename__ = "llm_calls"
    key: Mapped[str] = mapped_column(CHAR(64), primary_key=True)  # hash of address, model and all that is sent
    purpose: Mapped[str]  # 'caption', 'describe' or 'title'
    provider_url: Mapped[str]
    model: Mapped[str]
    prompt: Mapped[str]
    answer: Mapped[str | None]  # None until answered
    fault: Mapped[str | None]  # why an answer that was given has no text: 'model-refused', …
    tokens_in: Mapped[int | None]
    tokens_out: Mapped[int | None]
    cost: Mapped[Decimal | None] = mapped_column(Numeric)
    latency_ms: Mapped[float | None]
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id"), index=True)  # which job has paid for it
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[dt.datetime | None]  # a claim that has expired may be taken over
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[dt.datetime | None]


class ClusterTitle(Base):
    """What a model called a cluster of hits, by the hash of all that it was given."""

    __tablename__ = "cluster_titles"
    key: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    title: Mapped[str]
    summary: Mapped[str]
    provenance: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
