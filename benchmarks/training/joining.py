"""From a trained network to the checkpoint that is shipped: descriptors beside it, weights in half precision."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import safetensors.torch
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.training.corpora import Corpus
from linework_core import store
from linework_core.tables import Drawing
from linework_vision import load
from linework_vision.checkpoint import CARD, CONFIG, WEIGHTS, read_config
from linework_vision.stored import fetch_checkpoint

TRAINED_ON = """Line drawings of toy parts out of The LDraw Parts Library, all families of parts but one in five, and
600 designs of Linework's own sample office: 19,076 drawings. No real patent."""
SAMPLE = 500  # drawings, each of another patent, that spreads are measured on


def join(corpus: Corpus, spec: str, descriptors: list[str], into: Path) -> None:
    """Write the checkpoint of `spec` into a folder, with the descriptors, if any, beside its network.

    Each weighs one over the standard deviation of its similarities among drawings of different patents of the corpus,
    and the network as much as all descriptors together.
    """
    source = fetch_checkpoint(spec.removeprefix("checkpoint:"))
    drawings = _sample(corpus) if descriptors else []
    beside = {name: _spread(name, drawings) for name in descriptors}
    if descriptors:
        beside["net"] = round(_spread(spec, drawings) / len(descriptors), 4)
    trained = read_config(source)
    config = trained.model_copy(update={"name": into.name, "beside": beside})
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    weights = safetensors.torch.load_file(source / WEIGHTS)
    halves = {name: one.half() if one.is_floating_point() else one for name, one in weights.items()}
    safetensors.torch.save_file(halves, into / WEIGHTS)
    (into / CONFIG).write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")
    card = (source / CARD).read_text().replace(f"# {trained.name}\n", f"# {into.name}\n", 1)
    (into / CARD).write_text(card + _more(descriptors))


def _more(descriptors: list[str]) -> str:
    """What the card says besides."""
    told = f"\n## Data\n\n{TRAINED_ON}\n"
    if descriptors:
        names = " and ".join(descriptors)
        told += f"\n## Beside the network\n\nThe vector goes on with the classic descriptors {names}.\n"
    return told


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
