"""Lexical search: Postgres' full text over a drawing's title, object, caption and view.

A drawing's words are stored beside it when it is ingested. A query's words are looked for with OR: a drawing that
has all of them comes before one that has some, and one that has none has the score 0 but is still eligible.
"""

from typing import Any

from sqlalchemy import ColumnElement, Float, Text, bindparam, cast, func, literal_column
from sqlalchemy.dialects.postgresql import TSQUERY

from linework_core.fulltext import LANGUAGE

# of the classes D, C, B and A, in this order
WEIGHTS: ColumnElement[Any] = literal_column("'{0.25, 0.25, 0.5, 1.0}'::real[]")


def query_of(text: str) -> ColumnElement[Any]:
    """A tsquery that any word of `text` satisfies. Empty where the text has stop words only.

    plainto_tsquery quotes whatever operators the text holds; its own ' & ' are what is replaced.
    """
    all_words = func.plainto_tsquery(LANGUAGE, bindparam("words", text, unique=True))
    return cast(func.replace(cast(all_words, Text), " & ", " | "), TSQUERY)


def score(words: Any, query: ColumnElement[Any]) -> ColumnElement[float]:
    """How well a drawing's words answer a query, in [0, 1): ts_rank with words of title and object (A) above
    those of captions (B); about the weighted share of the query's words that the drawing has.
    """
    return cast(func.ts_rank(WEIGHTS, words, query), Float)
