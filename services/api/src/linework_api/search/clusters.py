"""Hits that are alike, put together: k-means over their vectors, and the words that tell each group apart."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from linework_api.search.schemas import Cluster, Hit, Keyword

SEED = 0
KEYWORDS = 8
# words that every caption has, and those that tell views rather than objects
EVERYWHERE = frozenset(
    {
        "fig", "figs", "view", "views", "showing", "shown", "new", "design", "ornamental", "thereof", "embodiment",
        "claimed", "claim", "portion", "broken", "lines", "front", "rear", "left", "right", "side", "top", "bottom",
        "plan", "elevation", "elevational", "perspective", "opposite",
    }
)  # fmt: skip


def group(vectors: Sequence[NDArray[np.float32]], hits: list[Hit], texts: list[str], k: int | None) -> list[Cluster]:
    """At most k clusters of the hits, the one with the best hit first.

    `vectors`, n of (d,), and `texts` belong to the hits (n), in their order. Without k it is about sqrt(n / 2).
    """
    if not hits:
        return []
    points = np.stack(vectors)
    k = min(k or max(2, round(math.sqrt(len(hits) / 2))), len(np.unique(points, axis=0)))
    labels = KMeans(n_clusters=k, n_init=10, random_state=SEED).fit_predict(points)
    members = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    ordered = sorted(members.values(), key=lambda rows: int(rows[0]))  # hits come by rank
    keywords = class_tf_idf([" ".join(texts[row] for row in rows) for rows in ordered])
    return [
        Cluster(id=number, size=len(rows), keywords=words, hits=[hits[row] for row in rows])
        for number, (rows, words) in enumerate(zip(ordered, keywords, strict=True), start=1)
    ]


def class_tf_idf(documents: list[str], most: int = KEYWORDS) -> list[list[Keyword]]:
    """The words that are frequent in one document and rare in the others (c-TF-IDF, Grootendorst 2022).

    weight(w, c) = tf(w, c) · log(1 + A / f(w)), with tf normalised by the document's length, A the mean number of
    words a document, and f(w) the word's frequency in all of them.
    """
    vectorizer = CountVectorizer(stop_words=_stop_words(), token_pattern=r"[^\W\d_]{3,}")
    try:
        counts = vectorizer.fit_transform(documents).toarray().astype(float)
    except ValueError:  # no words at all
        return [[] for _ in documents]
    lengths = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    weights = counts / lengths * np.log1p(lengths.mean() / counts.sum(axis=0))
    names = vectorizer.get_feature_names_out()
    return [_best(row, names, most) for row in weights]


def _best(row: NDArray[np.float64], names: NDArray[np.str_], most: int) -> list[Keyword]:
    order = np.lexsort((names, -row))[:most]
    return [Keyword(word=str(names[i]), weight=round(float(row[i]), 4)) for i in order if row[i] > 0]


def _stop_words() -> list[str]:
    return sorted(ENGLISH_STOP_WORDS | EVERYWHERE)
