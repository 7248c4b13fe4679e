"""All that a training reads, as files: every process opens them by itself, and none copies them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linework_trainer.data.labels import LABELS, Ints, Labels
from linework_trainer.data.pictures import Greys, open_pictures
from linework_trainer.data.text_features import TextData

FACTS, COLUMNS = "data.json", "columns.npz"


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Where things lie. `texts` is None where no texts are compared."""

    pictures: Path
    shape: tuple[int, int, int]
    texts: Path | None


@dataclass(frozen=True, slots=True)
class TrainingData:
    """n drawings at the training's size, of which `train` are trained on and `held` are kept back (places)."""

    pictures: Greys
    labels: Labels
    train: Ints
    held: Ints
    texts: TextData | None
    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "TrainingData":
        """What `write` wrote."""
        facts = json.loads((folder / FACTS).read_text())
        with np.load(folder / COLUMNS) as columns:
            found = {name: columns[name] for name in columns.files}
        labels = Labels(**{name: found[name] for name in LABELS}, counts=facts["counts"])
        texts = None
        if facts["texts"] is not None:
            texts = TextData(np.load(facts["texts"], mmap_mode="r"), found["ids"], found["offsets"])
        pictures = open_pictures(Path(facts["pictures"]), *facts["shape"])
        return cls(pictures, labels, found["train"], found["held"], texts, folder)

    def __reduce__(self) -> tuple[Callable[[Path], "TrainingData"], tuple[Path]]:
        """Another process opens the files, too, instead of getting their content."""
        return TrainingData.open, (self.folder,)


def write(
    folder: Path, files: DataFiles, labels: Labels, train: Ints, held: Ints, texts: tuple[Ints, Ints] | None
) -> None:
    """Write what TrainingData.open reads. `texts` are ids and offsets of TextData."""
    ids, offsets = texts if texts is not None else (np.empty(0, np.int64), np.zeros(1, np.int64))
    columns: dict[str, Any] = {name: labels.of(name) for name in LABELS}
    columns |= {"train": train, "held": held, "ids": ids, "offsets": offsets}
    np.savez(folder / COLUMNS, **columns)
    facts = {
        "pictures": str(files.pictures),
        "shape": files.shape,
        "texts": None if files.texts is None else str(files.texts),
        "counts": labels.counts,
    }
    (folder / FACTS).write_text(json.dumps(facts))
