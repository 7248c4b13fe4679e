"""From an order to a folder that holds a plan and its data."""

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from obstore.store import ObjectStore
from sqlalchemy import Engine

from linework_core.db import transaction
from linework_core.recipes import Recipe, TrainingOrder
from linework_core.settings import Settings
from linework_trainer.data import dataset
from linework_trainer.data.corpus import CorpusDrawings, NothingToTrainOn, read_corpus
from linework_trainer.data.labels import Ints, Labels, kept_back, make_labels
from linework_trainer.data.pictures import cached_pictures
from linework_trainer.data.text_features import cached_features
from linework_trainer.training.building import checkpoint_config
from linework_trainer.training.launch import how_many, how_many_loaders
from linework_trainer.training.plan import DATA, Plan
from linework_vision.card import ModelCard
from linework_vision.checkpoint import CheckpointConfig
from linework_vision.registry import Precision
from linework_vision.text_tower import TextTower, load_text_tower

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the data turned out to be."""

    drawings: int
    patents: int
    kept_back: int
    unreadable: int
    without_text: int


class Preparation:
    """Reads the corpus, fills the caches, writes the plan. `between` is called often, and may raise to stop."""

    def __init__(self, folder: Path, settings: Settings, objects: ObjectStore, between: Callable[[], None]) -> None:
        self._folder, self._settings, self._objects, self._between = folder, settings, objects, between

    def __call__(self, engine: Engine, order: TrainingOrder, snapshot: int, state_key: str) -> Prepared:
        """Raises NothingToTrainOn, UnknownRecipe, BadRecipe, BadSpec, WeightsUnavailable."""
        recipe = order.load_recipe()
        tower = load_text_tower(recipe.texts.tower, self._settings.device) if recipe.texts else None
        config = checkpoint_config(recipe, order.name or recipe.name, tower.ref if tower else None)
        with transaction(engine) as session:
            found = read_corpus(session, order.scope(snapshot), recipe.texts, self._between)
        prepared = self._write_data(found, recipe, config, tower)
        self._plan(order, snapshot, recipe, config, _digest(found), state_key).write(self._folder)
        log.info("training_prepared", drawings=prepared.drawings, patents=prepared.patents)
        return prepared

    def _write_data(
        self, found: CorpusDrawings, recipe: Recipe, config: CheckpointConfig, tower: TextTower | None
    ) -> Prepared:
        cache = self._settings.cache_dir
        size = config.preprocessing
        pictures, readable = cached_pictures(
            cache / "pictures", found.derivatives, size, self._objects, told=lambda done: self._between()
        )
        back = kept_back(found.patents, recipe.validation.share, recipe.seed)
        train, held = np.flatnonzero(readable & ~back), np.flatnonzero(readable & back)
        if len(train) < 2:
            raise NothingToTrainOn(f"Of {len(found)} drawings fewer than two can be read and are not kept back.")
        labels = make_labels(found.patents, found.locarno, readable & ~back, recipe.head_share)
        features, texts = None, None
        if tower is not None:
            features, ids, offsets = cached_features(cache / "texts", found.texts, tower, self._between)
            texts = ids, offsets
        folder = self._folder / DATA
        folder.mkdir()
        files = dataset.DataFiles(pictures, (len(found), size.height, size.width), features)
        dataset.write(folder, files, labels, train, held, texts)
        return _facts(found, labels, train, held, readable)

    def _plan(
        self, order: TrainingOrder, snapshot: int, recipe: Recipe, config: CheckpointConfig, digest: str, state_key: str
    ) -> Plan:
        settings = self._settings
        processes = how_many(settings)
        training = {"recipe": recipe.model_dump(mode="json"), "snapshot": snapshot, "commit": commit()}
        training |= {"order": order.model_dump(mode="json", exclude={"name", "recipe", "overrides"})}
        return Plan(
            recipe=recipe,
            config=config.model_copy(update={"training": training}),
            card=_card(order, recipe, snapshot),
            drawings=digest,
            device=settings.device,
            precision=precision(recipe, settings.device),
            objects_url=settings.object_store_url,
            state_key=state_key,
            loaders=how_many_loaders(settings, processes),
        )


def precision(recipe: Recipe, device: str) -> Precision:
    """'auto' is bf16 on a GPU, and on a CPU that has matrix units for it; elsewhere bf16 is slower than fp32."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if device.startswith("cuda") or torch.cpu._is_amx_tile_supported() else "fp32"


def commit() -> str:
    """The commit of this code: as the image's builder says, or as git does."""
    if told := os.environ.get("LINEWORK_COMMIT"):
        return told
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _card(order: TrainingOrder, recipe: Recipe, snapshot: int) -> ModelCard:
    bounds = [f"{name} {day}" for name, day in (("from", order.after), ("before", order.before)) if day is not None]
    filters = [*bounds, *order.locarno, *order.office]
    return ModelCard(
        recipe=recipe.name + (f", changed: {order.overrides}" if order.overrides else ""),
        data="the corpus's drawings" + (f" ({order.date_basis} {', '.join(filters)})" if filters else ""),
        snapshot=snapshot,
        before=order.before.isoformat() if order.before else None,
        seed=recipe.seed,
        commit=commit(),
        licence=order.licence,
        attributions=tuple(order.attributions),
    )


def _digest(found: CorpusDrawings) -> str:
    digest = hashlib.sha256()
    for row in zip(found.derivatives, found.patents, found.locarno, found.texts, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _facts(found: CorpusDrawings, labels: Labels, train: Ints, held: Ints, readable: NDArray[np.bool_]) -> Prepared:
    return Prepared(
        drawings=len(train),
        patents=labels.counts["patents"],
        kept_back=len(held),
        unreadable=int((~readable).sum()),
        without_text=found.without_text,
    )
