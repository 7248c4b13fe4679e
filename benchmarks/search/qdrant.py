"""The same corpus in Qdrant's engine, in this process: float16 vectors, integer indexes on date and class."""

import shutil
from pathlib import Path

import numpy as np
import qdrant_edge as qe
from numpy.typing import NDArray

from benchmarks.search.corpus import Corpus

_BATCH = 2_000


def build(folder: Path, corpus: Corpus, *, m: int, ef_construction: int) -> qe.EdgeShard:
    """A shard with one optimised segment. The payload is the week and the class, both indexed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    graph = qe.HnswIndexConfig(m=m, ef_construct=ef_construction, full_scan_threshold=10_000)
    vectors = qe.EdgeVectorParams(
        size=corpus.vectors.shape[1],
        distance=qe.Distance.Cosine,
        datatype=qe.VectorStorageDatatype.Float16,
        hnsw_config=graph,
    )
    optimizers = qe.EdgeOptimizersConfig(default_segment_number=1, max_segment_size=10**9, indexing_threshold=1_000)
    shard = qe.EdgeShard.create(str(folder), qe.EdgeConfig(vectors=vectors, hnsw_config=graph, optimizers=optimizers))
    for key in ("week", "class"):
        params = qe.IntegerIndexParams(lookup=key == "class", range=key == "week")
        shard.update(qe.UpdateOperation.create_field_index(key, params))
    for start in range(0, len(corpus), _BATCH):
        rows = range(start, min(start + _BATCH, len(corpus)))
        shard.update(qe.UpdateOperation.upsert_points([_point(corpus, row) for row in rows]))
    while shard.optimize():
        pass
    return shard


def _point(corpus: Corpus, row: int) -> qe.Point:
    payload = {"week": int(corpus.week[row]), "class": int(corpus.classes[row])}
    return qe.Point(id=row + 1, vector=corpus.vectors[row].astype(np.float32).tolist(), payload=payload)


def search(
    shard: qe.EdgeShard, vector: list[float], cut: int | None, class_number: int | None, k: int, ef: int
) -> NDArray[np.int64]:
    """Rows of the k nearest among those before week `cut` and of the class, nearest first."""
    must: list[qe.FieldCondition] = []
    if cut is not None:
        must.append(qe.FieldCondition(key="week", range=qe.RangeFloat(lt=cut)))
    if class_number is not None:
        must.append(qe.FieldCondition(key="class", match=qe.MatchValue(value=class_number)))
    request = qe.QueryRequest(
        query=qe.Query.Nearest(vector),
        limit=k,
        filter=qe.Filter(must=must) if must else None,
        params=qe.SearchParams(hnsw_ef=ef),
        with_payload=False,
        with_vector=False,
    )
    return np.fromiter((point.id for point in shard.query(request)), np.int64) - 1
