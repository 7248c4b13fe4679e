"""What an encoder is worth on each corpus: embedded and evaluated by the project's own jobs."""

import csv
import io
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.training.corpora import Corpus
from linework_core import encoders, store
from linework_core.corpus import current_snapshot
from linework_core.tables import Evaluation
from linework_embedder.bulk import BulkEmbedder
from linework_trainer.evaluation.job import evaluate
from linework_vision import load

# What each corpus is asked. Cross-modal protocols only where the encoder has a text tower.
ASKED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "kept": [("same-patent", {}), ("class-temporal", {}), ("text-to-drawing", {"sample": 1000})],
    "office": [("same-patent", {}), ("class-temporal", {}), ("citation-temporal", {}), ("text-to-drawing", {})],
    "patents": [("same-patent", {}), ("text-to-drawing", {"texts": "titles"})],
}


def judge(corpus: Corpus, spec: str) -> dict[str, Any]:
    """Measures of the encoder by each of the corpus's protocols, and the average precision of each query by itself."""
    manifest = load(spec).manifest
    with Session(corpus.engine) as session, session.begin():
        encoders.register(session, manifest)
        snapshot = current_snapshot(session)
    corpus.do("embed", BulkEmbedder(corpus.settings, corpus.objects), encoder=manifest.id)
    handler = partial(evaluate, settings=corpus.settings, objects=corpus.objects)
    told = {}
    for protocol, more in ASKED[corpus.name]:
        if protocol == "text-to-drawing" and not manifest.has_text:
            continue
        params = {"protocol": protocol, "encoder": manifest.id, "snapshot": snapshot, "pictures": False, **more}
        told[protocol] = _read(corpus, corpus.do("evaluate", handler, **params)["evaluation"])
    return told


def _read(corpus: Corpus, number: str) -> dict[str, Any]:
    with Session(corpus.engine) as session:
        found = session.scalars(select(Evaluation).where(Evaluation.id == number)).one()
    table = csv.DictReader(
        io.StringIO(store.get(corpus.objects, store.artefact_key(found.artefacts["queries.csv"])).decode())
    )
    by_query = {row["drawing"]: float(row["map"]) for row in table if row["map"]}
    return {
        "all": found.results["all"],
        "head": found.results.get("head"),
        "tail": found.results.get("tail"),
        "ap": by_query,
    }
