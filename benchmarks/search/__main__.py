"""Speed and recall of search: `python -m benchmarks.search [--rows 200000] [--folder …] [--quick]`.

Builds the corpus in Postgres (through the project's schema, tuned as the local stack is) and in Qdrant's engine, then
measures both in turns. What was built in `folder` is used again.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qdrant_edge as qe
from rich.console import Console
from sqlalchemy import Engine
from structlog.testing import capture_logs

from benchmarks.search import corpus as corpora
from benchmarks.search import measure, postgres, qdrant, report
from benchmarks.search.cells import cells
from benchmarks.search.corpus import Corpus
from linework_core import db, encoders, vector_costs, vector_index
from linework_core.tables import Encoder

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/linework-bench"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--quick", action="store_true", help="one client only")
    parser.add_argument("--build-only", action="store_true", help="how long the indexes take; no Qdrant")
    parser.add_argument("--without-qdrant", action="store_true", help="measure Postgres alone")
    parser.add_argument("--only", help="one class filter: 'none', '1%% own', …")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    corpus = corpora.make(asked.rows, asked.dimension)
    with postgres.server(asked.folder) as url:
        if asked.build_only:
            _in_postgres(url, corpus, vector_index.build)
            return
        encoder, built = _in_postgres(url, corpus, vector_costs.refresh)
        shard, took = None, None
        if not asked.without_qdrant:
            shard, took = _in_qdrant(asked.folder / f"qdrant-{len(corpus)}", corpus)
        results, at_once = _measure(url, encoder, shard, corpus, asked)
    told = {
        "rows": len(corpus), "dimension": asked.dimension, "queries": asked.queries, "postgres_build": built,
        "qdrant_build_s": took, "cells": [result.as_json() for result in results], "eight_clients": at_once,
    }  # fmt: skip
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / f"search-{len(corpus)}.json").write_text(json.dumps(told, indent=1) + "\n")
    console.print(report.markdown(told), markup=False, soft_wrap=True)
    report.plot(told, Path("docs/images") / f"search-{len(corpus)}.png")


def _in_postgres(
    url: str, corpus: Corpus, prepare: Callable[[Engine, Encoder], object]
) -> tuple[Encoder, list[dict[str, Any]]]:
    """The encoder with its rows, after `prepare`; and which index took how long, where it was built now."""
    encoder = postgres.register(url, f"bench-{len(corpus)}-{corpus.vectors.shape[1]}", corpus.vectors.shape[1])
    with postgres.connect(url) as connection:
        found = connection.execute(f"SELECT EXISTS (SELECT FROM {encoders.partition(encoder)})").fetchone()
    if found is not None and not found[0]:
        started = time.monotonic()
        postgres.copy(url, encoder, corpus)
        console.print(f"copied {len(corpus):,} rows in {time.monotonic() - started:.0f} s")
    with capture_logs() as events:
        prepare(db.make_engine(url), encoder)
    for event in events:
        console.print(event)
    return encoder, [event for event in events if event["event"] == "index_built"]


def _in_qdrant(folder: Path, corpus: Corpus) -> tuple[qe.EdgeShard, float | None]:
    if folder.exists():
        return qe.EdgeShard.load(str(folder)), None
    started = time.monotonic()
    shard = qdrant.build(folder, corpus, m=vector_index.M, ef_construction=vector_index.EF_CONSTRUCTION)
    console.print(f"qdrant built in {time.monotonic() - started:.0f} s")
    return shard, time.monotonic() - started


def _measure(
    url: str, encoder: Encoder, shard: qe.EdgeShard | None, corpus: Corpus, asked: argparse.Namespace
) -> tuple[list[measure.Result], list[dict[str, Any]]]:
    results, at_once = [], []
    for cell in cells(corpus, asked.queries, asked.only):
        for k in measure.DEPTHS:
            result = measure.one_client(url, encoder, shard, cell, k)
            results.append(result)
            console.print(report.line(result.as_json()), markup=False, soft_wrap=True)
            if shard is not None and k == 10 and not asked.quick and "own" not in cell.label:
                at_once.append(measure.eight_clients(url, encoder, shard, cell, k, result.ef))
    return results, at_once


if __name__ == "__main__":
    main()
