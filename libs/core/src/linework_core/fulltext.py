"""A drawing's words, as Postgres' full text keeps them: written at ingest and at enrichment, looked for by searches."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, func, literal_column
from sqlalchemy.dialects.postgresql import TSVECTOR

LANGUAGE: ColumnElement[Any] = literal_column("'english'::regconfig")


def words_of(named: str | BindParameter[Any], captions: str | BindParameter[Any]) -> ColumnElement[Any]:
    """A tsvector: titles and objects with weight A, captions with weight B."""
    return _weighted(named, "A").concat(_weighted(captions, "B"))


def words_of_texts(texts: Sequence[str]) -> ColumnElement[Any]:
    """A tsvector of a set of descriptions, with weight C: they are searched, and never count as much as a caption."""
    return _weighted("\n".join(texts), "C")


def _weighted(text: str | BindParameter[Any], weight: str) -> ColumnElement[Any]:
    letter: ColumnElement[Any] = literal_column(f"'{weight}'::\"char\"")
    return func.setweight(func.to_tsvector(LANGUAGE, text), letter, type_=TSVECTOR)
