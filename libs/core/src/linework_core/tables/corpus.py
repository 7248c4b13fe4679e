"""Packages, patents, sheets, figures, citations, drawings, and what was set aside. Ingest writes them."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from linework_core.tables.base import OPEN, Base, Filterable, row_key


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
    digest: Mapped[str]  # of text and pictures: equal digest, equal version
    provenance: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # of text and of pictures: source, digest
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    added_in: Mapped[int] = mapped_column(BigInteger, index=True)
    removed_in: Mapped[int | None] = mapped_column(BigInteger)


class Erasure(Base):
    """The tombstone of a patent that was erased: all that is left of it. In force until an admin lifts it."""

    __tablename__ = "erasures"
    __table_args__ = (Index("erasures_in_force", "patent_id", unique=True, postgresql_where=text("lifted_at IS NULL")),)
    id: Mapped[int] = row_key()
    patent_id: Mapped[str]
    reason: Mapped[str]
    erased_by: Mapped[str]
    erased_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    snapshot: Mapped[int] = mapped_column(BigInteger)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id"))
    # pictures that have not been deleted from the object store yet: hashes
    originals: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    derivatives: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    pictures_deleted_at: Mapped[dt.datetime | None]  # the last time
    # its drawings, by which searches are marked that were under way when it was erased
    drawing_rows: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    drawing_ids: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    lifted_at: Mapped[dt.datetime | None]
    lifted_by: Mapped[str | None]


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
    layout: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # how it was split; empty if nobody tried


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
