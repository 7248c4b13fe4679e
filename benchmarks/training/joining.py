"""From a trained network to a checkpoint that has classic descriptors beside it."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.training.corpora import Corpus
from linework_core import store
from linework_core.tables import Drawing
from linework_vision import load
from linework_vision.checkpoint import CONFIG, read_config
from linework_vision.stored import fetch_checkpoint

SAMPLE = 500  # drawings, each of another patent, that spreads are measured on


def join(corpus: Corpus, spec: str, descriptors: list[str], into: Path) -> None:
    """Copy the checkpoint of `spec` into a folder, with the descriptors beside its network.

    Each weighs one over the standard deviation of its similarities among drawings of different patents of the corpus.
    """
    source = fetch_checkpoint(spec.removeprefix("checkpoint:"))
    drawings = _sample(corpus)
    beside = {"net": _spread(spec, drawings)} | {name: _spread(name, drawings) for name in descriptors}
    config = read_config(source).model_copy(update={"name": into.name, "beside": beside})
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(source, into)
    (into / CONFIG).write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")


def _sample(corpus: Corpus) -> list[Image.Image]:
    first = select(Drawing.derivative).distinct(Drawing.patent_id).order_by(Drawing.patent_id, Drawing.drawing_id)
    with Session(corpus.engine) as session:
        derivatives = list(session.scalars(first))
    chosen = np.random.default_rng(0).choice(len(derivatives), min(SAMPLE, len(derivatives)), replace=False)
    read = (store.get(corpus.objects, store.derivative_key(derivatives[one])) for one in chosen)
    return [Image.open(io.BytesIO(png)).convert("L") for png in read]


def _spread(spec: str, drawings: list[Image.Image]) -> float:
    encoder = load(spec)
    vectors = encoder.encode_drawings([encoder.preprocess(drawing) for drawing in drawings])
    similarities = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return round(float(similarities.std()), 4)
