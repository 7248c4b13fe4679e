"""What an encoder is worth on each corpus: embedded and evaluated by the project's own jobs."""

import csv
import io
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.training.corpora import Corpus
from linework_core import encoders, store
from linework_core.corpus import current_snapshot
from linework_core.manifest import EncoderManifest
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


def register(corpus: Corpus, spec: str) -> EncoderManifest:
    """The encoder's manifest, known to the corpus."""
    manifest = load(spec).manifest
    with Session(corpus.engine) as session, session.begin():
        encoders.register(session, manifest)
    return manifest


def vectors(corpus: Corpus, encoder_id: str) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """Drawings' ids, their patents' ids, and their vectors (n, d), in the order of ids."""
    with Session(corpus.engine) as session:
        row = encoders.find(session, encoder_id)
        leaf = encoders.partition(row)
        statement = (
            f"SELECT drawing_id, patent_id, vector::real[] FROM {leaf} WHERE removed_in IS NULL ORDER BY drawing_id"
        )
        found = session.connection().exec_driver_sql(statement).all()
    return [r[0] for r in found], [r[1] for r in found], np.asarray([r[2] for r in found], np.float32)


def paired_bootstrap(
    ours: dict[str, float], theirs: dict[str, float], patent_of: dict[str, str], *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """The gain in mAP, and its 95% percentile interval when patents are drawn with replacement."""
    names = sorted({patent_of[query] for query in ours})
    sums, sizes = np.zeros(len(names)), np.zeros(len(names))
    for query, value in ours.items():
        place = names.index(patent_of[query])
        sums[place] += value - theirs[query]
        sizes[place] += 1
    chosen = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    gains = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = np.percentile(gains, [2.5, 97.5])
    return float(sums.sum() / sizes.sum()), float(low), float(high)


def permutation_test(
    scores: NDArray[np.float32], owners: list[int], *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """mAP of texts for the drawings of their patents, and the p-value that titles dealt out at random do as well.

    scores is (patents, drawings); `owners` are the patents' numbers of the drawings.
    """
    of, count = np.asarray(owners), len(scores)
    table = np.array(
        [[_average_precision(scores[text], of == patent) for patent in range(count)] for text in range(count)]
    )
    dice, texts = np.random.default_rng(seed), np.arange(count)
    true = float(table[texts, texts].mean())
    dealt = np.array([table[texts, dice.permutation(count)].mean() for _ in range(draws)])
    return true, float((1 + (dealt >= true).sum()) / (1 + draws))


def _average_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    found = relevant[np.argsort(-scores, kind="stable")]
    ranks = np.flatnonzero(found) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0
