"""Titles of clusters: what the enricher is told of each, and what it has written."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api.search import clusters, records, repository
from linework_api.search.schemas import Cluster, ClusterOptions, Hit
from linework_core import encoders
from linework_core.cluster_titles import PICTURES, Subject
from linework_core.errors import Unprocessable
from linework_core.settings import Settings
from linework_core.tables import ClusterTitle, Search

OBJECTS = 8


@dataclass(frozen=True, slots=True)
class Material:
    """What clusters are made of: the best hits of a search with vectors and texts, their derivatives, the query."""

    hits: list[Hit]
    vectors: list[Any]
    texts: list[str]
    pictures: dict[str, str]
    query: dict[str, Any]


def material(session: Session, kept: Search, wanted: ClusterOptions) -> Material:
    """The best `top` hits of a search, and what is known of them. Raises Gone with their vectors."""
    encoders.check_vectors(session, kept.encoder, kept.snapshot)
    best = zip(records.read(session, kept).answer.hits[: wanted.top], kept.rows, strict=False)
    left = [(hit, row) for hit, row in best if not hit.erased]
    hits, rows = [hit for hit, _ in left], [row for _, row in left]
    vectors = repository.vectors_of(session, encoders.facts(session, kept.encoder), rows, kept.snapshot)
    texts = repository.texts_of(session, rows)
    pictures = {one.drawing_id: one.derivative for one in repository.details(session, rows).values()}
    query = _query(session, kept)
    return Material(hits, [vectors[row] for row in rows], [texts[row] for row in rows], pictures, query)


def clustered(of: Material, k: int | None) -> tuple[list[Cluster], list[Subject]]:
    """The hits in at most k clusters, and what each cluster is named by. Seconds of a core, and no database."""
    made = clusters.group(of.vectors, of.hits, of.texts, k)
    return made, [_subject(cluster, of.pictures, of.query) for cluster in made]


def named(session: Session, made: Sequence[Cluster], subjects: Sequence[Subject]) -> list[Cluster]:
    """The clusters with their titles and summaries, as far as these have been written."""
    keys = [subject.key for subject in subjects]
    written = {row.key: row for row in session.scalars(select(ClusterTitle).where(ClusterTitle.key.in_(keys)))}
    return [_with_title(cluster, written.get(key)) for cluster, key in zip(made, keys, strict=True)]


def job_params(subjects: Sequence[Subject], provider: str | None, settings: Settings) -> dict[str, Any]:
    """What the enricher is told. Raises Unprocessable where no model is configured that could be asked."""
    provider = provider or settings.enrich_provider
    if provider == "openai" and settings.captioner is None and settings.llm is None:
        raise Unprocessable("No model is configured here (settings CAPTIONER and LLM): use the provider 'template'.")
    return {"kind": "titles", "provider": provider, "clusters": [subject.as_json() for subject in subjects]}


def _with_title(cluster: Cluster, written: ClusterTitle | None) -> Cluster:
    if written is None:
        return cluster
    return cluster.model_copy(update={"title": written.title, "summary": written.summary})


def _subject(cluster: Cluster, pictures: dict[str, str], query: dict[str, Any]) -> Subject:
    seen = sorted({pictures[hit.drawing.id] for hit in cluster.hits})
    titles = Counter(hit.patent.title for hit in cluster.hits if hit.patent.title)
    return Subject(
        # the same for the same cluster, whoever searched: only so is its title found again
        pictures=tuple(random.Random(clusters.SEED).sample(seen, min(PICTURES, len(seen)))),
        keywords=tuple(keyword.word for keyword in cluster.keywords),
        objects=tuple(title for title, _ in sorted(titles.items(), key=lambda one: (-one[1], one[0]))[:OBJECTS]),
        query=query,
    )


def _query(session: Session, kept: Search) -> dict[str, Any]:
    """What was searched for, without numbers of patents: those are told to no model."""
    asked = kept.request
    told = {
        "words": asked.get("q"),
        "design": repository.title_of(session, kept.snapshot, asked.get("drawing"), asked.get("patent")),
        "classes": asked.get("locarno"),
        "views": asked.get("view"),
    }
    return {name: value for name, value in told.items() if value}
