"""Trainings of seconds: a few drawings, and networks that timm has for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from linework_core.recipes import Recipe, load_recipe
from linework_core.store import open_store
from linework_trainer.data import dataset
from linework_trainer.data.dataset import TrainingData
from linework_trainer.data.labels import kept_back, make_labels
from linework_trainer.training.building import checkpoint_config
from linework_trainer.training.history import Row
from linework_trainer.training.loop import Report, Training
from linework_trainer.training.plan import DATA, Plan
from linework_trainer.training.state import KeptState
from linework_vision.card import ModelCard
from linework_vision.text_tower import TextTowerRef

SIZE, TEXT_DIMENSION = 32, 16
TOWER = TextTowerRef(name="none", hash="0" * 64, dimension=TEXT_DIMENSION)
STILL = {
    "horizontal_flip": 0, "line_width": 0, "rotation": 0, "smallest_crop": 1, "crop_stretch": 1, "erasing": 0,
    "grid_mask": 0,
}  # fmt: skip


def tiny(name: str = "linework", *, backbone: str = "test_resnet", **overrides: Any) -> Recipe:
    """A recipe, made small: `stage` changes each of its stages, other names are fields of the recipe."""
    stage = {"epochs": 3, "images": None, "batch_size": 8, "chunk": None} | overrides.pop("stage", {})
    stages = dict.fromkeys(load_recipe(name).stages, stage)
    model = {"backbone": backbone, "weights": "scratch", "image_size": SIZE} | overrides.pop("model", {})
    return load_recipe(name, {"model": model, "precision": "fp32", "stages": stages, **overrides})


def write_training(folder: Path, recipe: Recipe, *, patents: int = 12, views: int = 3, **plan: Any) -> Plan:
    """A folder as a job prepares it: drawings of squares, each patent's of another place and size."""
    names = [f"USD{number:07}" for number in range(patents) for _ in range(views)]
    locarno = [f"{number % 2 + 14}-{number % 4 + 1:02}" for number in range(patents) for _ in range(views)]
    file = folder / "pictures.u8"
    np.stack([_square(place // views, place % views) for place in range(len(names))]).tofile(file)
    back = kept_back(names, recipe.validation.share, recipe.seed)
    labels = make_labels(names, locarno, ~back, recipe.head_share)
    texts, features = None, None
    if recipe.texts:
        features = folder / "texts.npy"
        dice = np.random.default_rng(7)
        rows = dice.normal(size=(patents, TEXT_DIMENSION)).astype(np.float32)
        np.save(features, rows / np.linalg.norm(rows, axis=1, keepdims=True))
        texts = np.repeat(np.arange(patents), views), np.arange(len(names) + 1)
    (folder / DATA).mkdir()
    shape = (len(names), recipe.model.image_size, recipe.model.image_size)
    dataset.write(
        folder / DATA, dataset.DataFiles(file, shape, features), labels, np.flatnonzero(~back), np.flatnonzero(back),
        texts,
    )  # fmt: skip
    made = Plan(
        recipe=recipe, config=checkpoint_config(recipe, "tiny", TOWER if recipe.texts else None),
        card=ModelCard(recipe=recipe.name, data="squares", seed=recipe.seed, commit="none"), drawings="squares",
        objects_url=(folder / "objects").as_uri(), state_key="state", **{"report_seconds": 0.0} | plan,
    )  # fmt: skip
    made.write(folder)
    return made


def _square(patent: int, view: int) -> Any:
    greys = np.full((SIZE, SIZE), 255, dtype=np.uint8)
    left, side = 2 + patent % 5 * 3, 6 + patent // 5 * 4 + view
    greys[left : left + side, left : left + side] = 20 * view
    return greys


class Recorder:
    """A listener that keeps what it hears, and may end a training before a step."""

    def __init__(self, end_before: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.reports: list[Report] = []
        self._left, self._error = end_before, error

    def checkpoint(self) -> None:
        if self._left is not None:
            if self._left == 0:
                raise self._error
            self._left -= 1

    def tell(self, report: Report) -> None:
        self.reports.append(report)


def training_of(folder: Path, listener: Recorder | None = None) -> Training:
    from linework_trainer.data.batches import Share

    plan = Plan.read(folder)
    kept = KeptState(open_store(plan.objects_url), plan.state_key, plan.fingerprint)
    data = TrainingData.open(folder / DATA)
    return Training(plan, data, kept, listener or Recorder(), device="cpu", share=Share())


def losses(rows: Sequence[Row]) -> list[float]:
    return [row["total"] for row in rows]
