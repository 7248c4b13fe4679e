"""The tables. Rows about the corpus are versions: `added_in` and `removed_in` number the snapshots between
which a row is true, and nothing but `removed_in` of such a row ever changes (design, rule 3).

Writers: ingest writes packages, patents, sheets, figures, citations, drawings and set_aside; the embedder
writes encoders, embeddings, description_vectors and their failures; the enricher writes descriptions,
enrich_failures, llm_calls and cluster_titles; the trainer writes evaluations; the gateway writes jobs (with the
workers), searches and idempotency keys. Closing a patent closes its drawings, vectors and descriptions in the same
transaction (corpus.py).
"""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    SmallInteger,
    String,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {
        str: String,
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(String),
        dt.datetime: TIMESTAMP(timezone=True),
    }


def row_key() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(), primary_key=True)


OPEN = text("removed_in IS NULL")


class Corpus(Base):
    """One row: the number of the last committed change. Its row lock orders snapshots by commit."""

    __tablename__ = "corpus"
    __table_args__ = (CheckConstraint("id = 1", name="corpus_is_one_row"),)
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1")
    snapshot: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Package(Base):
    """A source that was ingested: a weekly tar, a ZIP, a JSON file."""

    __tablename__ = "packages"
    __table_args__ = (Index("packages_once_a_job", "job_id", "name", unique=True),)
    id: Mapped[int] = row_key()
    name: Mapped[str] = mapped_column(index=True)
    source: Mapped[str]  # 'uspto', 'deeppatent2'
    office: Mapped[str | None]
    week: Mapped[dt.date | None]  # date of a weekly package
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    counts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Patent(Base):
    """One version of the facts of a patent; sheets, figures, citations and drawings belong to a version."""

    __tablename__ = "patents"
    __table_args__ = (
        Index("patents_open", "patent_id", unique=True, postgresql_where=OPEN),
        Index("patents_family", "family_keys", postgresql_using="gin"),
    )
    row_id: Mapped[int] = row_key()
    patent_id: Mapped[str] = mapped_column(index=True)
    office: Mapped[str]
    number: Mapped[str]
    kind: Mapped[str | None]
    title: Mapped[str | None]
    granted: Mapped[dt.date | None] = mapped_column(index=True)
    filed: Mapped[dt.date | None]
    priority: Mapped[dt.date | None]
    locarno: Mapped[str | None]
    locarno_edition: Mapped[str | None]
    locarno_further: Mapped[list[str]] = mapped_column(server_default="{}")
    claim: Mapped[str | None]
    application: Mapped[str | None]
    hague: Mapped[dict[str, Any] | None]
    family: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    family_keys: Mapped[list[str]] = mapped_column(server_default="{}")
    extra: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    source: Mapped[str]
    digest: Mapped[str]  # of facts and originals: equal digest, equal version
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    added_in: Mapped[int] = mapped_column(BigInteger, index=True)
    removed_in: Mapped[int | None] = mapped_column(BigInteger)


class Sheet(Base):
    __tablename__ = "sheets"
    row_id: Mapped[int] = row_key()
    sheet_id: Mapped[str] = mapped_column(index=True)
    patent_row: Mapped[int] = mapped_column(ForeignKey("patents.row_id"), index=True)
    number: Mapped[int]
    role: Mapped[str]  # 'front_page' (kept, not searched) or 'drawings'
    original: Mapped[str]  # SHA-256 of the bytes as filed; the key in the object store
    width: Mapped[int]
    height: Mapped[int]


class Figure(Base):
    __tablename__ = "figures"
    row_id: Mapped[int] = row_key()
    patent_row: Mapped[int] = mapped_column(ForeignKey("patents.row_id"), index=True)
    ordinal: Mapped[int]
    number: Mapped[str]
    label: Mapped[str]
    caption: Mapped[str]
    view: Mapped[str | None]
    object: Mapped[str | None]


class Citation(Base):
    __tablename__ = "citations"
    row_id: Mapped[int] = row_key()
    patent_row: Mapped[int] = mapped_column(ForeignKey("patents.row_id"), index=True)
    number: Mapped[str] = mapped_column(index=True)
    raw_number: Mapped[str]
    office: Mapped[str]
    kind: Mapped[str | None]
    date: Mapped[str | None]  # ISO 8601, reduced precision where the source has day or month 00
    name: Mapped[str | None]
    category: Mapped[str | None]


class Filterable:
    """What a search filters by. It stands beside drawings and beside vectors, so that a filtered scan
    of either needs no join.
    """

    patent_id: Mapped[str]
    office: Mapped[str]
    granted: Mapped[dt.date | None]
    filed: Mapped[dt.date | None]
    priority: Mapped[dt.date | None]
    locarno: Mapped[str | None]
    view: Mapped[str | None]
    added_in: Mapped[int] = mapped_column(BigInteger)
    removed_in: Mapped[int | None] = mapped_column(BigInteger)


class Drawing(Filterable, Base):
    """One version of a drawing, the unit of retrieval."""

    __tablename__ = "drawings"
    __table_args__ = (
        Index("drawings_open", "drawing_id", unique=True, postgresql_where=OPEN),
        Index("drawings_granted", "granted"),
        Index("drawings_added", "added_in"),
        *(
            Index(f"drawings_without_{basis}", "row_id", postgresql_where=text(f"{basis} IS NULL"))
            for basis in ("granted", "filed", "priority")
        ),
        Index("drawings_patent", "patent_id"),
        Index("drawings_words", "words", postgresql_using="gin"),
    )
    row_id: Mapped[int] = row_key()
    drawing_id: Mapped[str] = mapped_column(index=True)
    patent_row: Mapped[int] = mapped_column(ForeignKey("patents.row_id"), index=True)
    sheet_row: Mapped[int] = mapped_column(ForeignKey("sheets.row_id"))
    figure_row: Mapped[int | None] = mapped_column(ForeignKey("figures.row_id"))
    number: Mapped[int]
    box: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))  # x, y, width, height on the sheet
    original: Mapped[str]  # SHA-256 of the picture it was cut from: the sheet, or the source's own cut
    derivative: Mapped[str] = mapped_column(index=True)  # hash; the key in the object store
    width: Mapped[int]  # of the derivative
    height: Mapped[int]
    words: Mapped[Any] = mapped_column(TSVECTOR, server_default="")  # title and object (A), captions (B)


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


class EmbedFailure(Base):
    """A drawing that could not be embedded: tried again after a growing pause, never lost."""

    __tablename__ = "embed_failures"
    encoder: Mapped[int] = mapped_column(ForeignKey("encoders.number"), primary_key=True)
    drawing_row: Mapped[int] = mapped_column(ForeignKey("drawings.row_id"), primary_key=True)
    tries: Mapped[int]
    reason: Mapped[str]
    next_try_at: Mapped[dt.datetime]


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


class DescriptionVectorFailure(Base):
    """A set of descriptions that has no vector yet, and why: tried again after a growing pause."""

    __tablename__ = "description_vector_failures"
    encoder: Mapped[int] = mapped_column(SmallInteger, ForeignKey("encoders.number"), primary_key=True)
    description: Mapped[int] = mapped_column(BigInteger, ForeignKey("descriptions.id"), primary_key=True)
    tries: Mapped[int]
    reason: Mapped[str]
    next_try_at: Mapped[dt.datetime]


class EnrichFailure(Base):
    """A drawing that could not be described by a recipe: tried again after a growing pause, never lost."""

    __tablename__ = "enrich_failures"
    drawing_row: Mapped[int] = mapped_column(ForeignKey("drawings.row_id"), primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]  # kebab-case and stable
    detail: Mapped[str]
    tries: Mapped[int]
    next_try_at: Mapped[dt.datetime]


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
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kind: Mapped[str]
    owner: Mapped[str]
    params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
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
    lease_holder: Mapped[str | None]
    lease_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class SetAside(Base):
    """A record that could not be taken, with its reason."""

    __tablename__ = "set_aside"
    __table_args__ = (Index("set_aside_once", "package", "record", "reason", unique=True),)
    id: Mapped[int] = row_key()
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"), index=True)
    package: Mapped[str]
    record: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """The answer that a repeated POST gets again."""

    __tablename__ = "idempotency_keys"
    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]  # SHA-256 of what was asked
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


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


class Unrecorded(Base):
    """How many searches were made with `record=false`: nothing else is kept of them."""

    __tablename__ = "unrecorded_searches"
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    searches: Mapped[int]


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
