"""Lexical search: Postgres' full text over a drawing's title, object, caption and view, and over its descriptions.

A drawing's words are stored beside it when it is ingested, those of its descriptions beside them. A query's words are
looked for with OR: a drawing that has all of them comes before one that has some, and one that has none has the score
0 but is still eligible.
"""

from typing import Any

from sqlalchemy import ColumnElement, Float, Text, and_, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY

from linework_core.corpus import visible
from linework_core.fulltext import LANGUAGE
from linework_core.tables import Description

# of the classes D, C, B and A, in this order
WEIGHTS: ColumnElement[Any] = literal_column("'{0.25, 0.25, 0.5, 1.0}'::real[]")


def query_of(text: str) -> ColumnElement[Any]:
    """A tsquery that any word of `text` satisfies. Empty where the text has stop words only.

    plainto_tsquery quotes whatever operators the text holds; its own ' & ' are what is replaced.
    """
    all_words = func.plainto_tsquery(LANGUAGE, bindparam("words", text, unique=True))
    any_word = cast(func.replace(cast(all_words, Text), " & ", " | "), TSQUERY)
    return select(any_word).scalar_subquery()  # so that it is parsed once, and not for every row that is scored


def rank(words: Any, query: ColumnElement[Any]) -> ColumnElement[float]:
    """ts_rank, in [0, 1), with words of title and object (A) above those of captions (B) above those of descriptions
    (C); about the weighted share of the query's words that there are. NULL for no words.
    """
    return cast(func.ts_rank(WEIGHTS, words, query), Float)


def score(own: Any, described: Any) -> ColumnElement[float]:
    """How well a drawing answers, in [0, 1), by the ranks of its own words and of its descriptions' (or NULLs).

    It is own + (1 - own) described: descriptions count for what its own words leave open.
    """
    mine = func.coalesce(own, 0.0, type_=Float)
    return mine + (1.0 - mine) * func.coalesce(described, 0.0, type_=Float)


def described(query: ColumnElement[Any], snapshot: int) -> ColumnElement[bool]:
    """The descriptions that are true at the snapshot and have a word of the query."""
    return and_(Description.words.op("@@")(query), visible(Description, snapshot))
