"""A training step against open_clip's own loop: the same backbone, batch, loss and device, data in memory.

    python benchmarks/step_time.py [--backbone resnet18] [--size 112] [--batch 64] [--steps 12] [--device cpu]

Ours is a step of `linework_trainer` (L_clip on texts whose features are computed once). Theirs is
`open_clip_train.train.train_one_epoch` on a model with the same timm backbone, twice: with a frozen text tower of
CLIP's smallest common size (width 512, 12 layers), as users of open_clip have it, and with one of a single narrow
layer, which costs next to nothing: the lower bound of what their loop can take. Rounds alternate; the quickest round
of each counts.
"""

import argparse
import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from linework_core.recipes import load_recipe
from linework_trainer.data import dataset
from linework_trainer.data.batches import Batch, Share
from linework_trainer.data.dataset import TrainingData
from linework_trainer.data.labels import make_labels
from linework_trainer.training.building import Towers, checkpoint_config, make_net
from linework_trainer.training.plan import Plan
from linework_trainer.training.stage import StageRun
from linework_vision import torchvision_gap  # noqa: F401  # before open_clip
from linework_vision.card import ModelCard
from linework_vision.text_tower import TextTowerRef

from open_clip import ClipLoss, CustomTextCLIP  # isort: skip
from open_clip_train.train import train_one_epoch  # isort: skip

DIMENSION, VOCABULARY, LENGTH = 384, 49408, 77
TEXT_TOWERS = {
    "frozen text tower of 12 layers": {"width": 512, "heads": 8, "layers": 12},
    "text tower of one narrow layer": {"width": 64, "heads": 1, "layers": 1},
}


def ours(asked: Namespace, greys: np.ndarray, folder: Path) -> Callable[[], None]:
    """Takes `steps` steps on the drawings each time it is called."""
    recipe = load_recipe(
        "lo2024-ablation-clip",
        {
            "model": {"backbone": asked.backbone, "weights": "scratch", "head": "linear", "image_size": asked.size},
            "texts": {"tower": "minilm"},
            "stages": {"main": {"batch_size": asked.batch, "images": asked.batch * asked.steps, "lr": 1e-4}},
            "validation": {"share": 0.0},
        },
    )
    data = _data(folder, greys)
    tower = TextTowerRef(name="none", hash="0" * 64, dimension=DIMENSION)
    config = checkpoint_config(recipe, "timed", tower)
    card = ModelCard(recipe=recipe.name, data="noise", seed=0, commit="none")
    plan = Plan(
        recipe=recipe, config=config, card=card, drawings="noise", device=asked.device, precision=asked.precision,
        objects_url=folder.as_uri(), state_key="state",
    )  # fmt: skip
    net = make_net(recipe, config).to(asked.device).to(memory_format=torch.channels_last)
    stage = StageRun(
        0, "main", plan, Towers(net, config.preprocessing).train(), data, torch.device(asked.device), Share()
    )
    batches = [_on(stage.batches[number], asked.device) for number in range(asked.steps)]

    def run() -> None:
        again = iter(batches)
        for step in range(asked.steps):
            stage.step(step, again)
        _wait(asked.device)

    return run


def _data(folder: Path, greys: np.ndarray) -> TrainingData:
    patents = [f"USD{number:07}" for number in range(len(greys))]
    labels = make_labels(patents, ["14-02"] * len(greys), np.ones(len(greys), bool), 0.4)
    greys.tofile(folder / "pictures.u8")
    features = np.random.default_rng(1).standard_normal((len(greys), DIMENSION)).astype(np.float32)
    np.save(folder / "texts.npy", features / np.linalg.norm(features, axis=1, keepdims=True))
    files = dataset.DataFiles(folder / "pictures.u8", greys.shape, folder / "texts.npy")
    every = np.arange(len(greys))
    (folder / "data").mkdir()
    dataset.write(folder / "data", files, labels, every, every[:0], (every, np.arange(len(greys) + 1)))
    return TrainingData.open(folder / "data")


def theirs(asked: Namespace, greys: np.ndarray, text: dict[str, int]) -> Callable[[], None]:
    """The same with open_clip's loop."""
    model = CustomTextCLIP(
        embed_dim=DIMENSION,
        vision_cfg={
            "timm_model_name": asked.backbone, "timm_model_pretrained": False, "timm_pool": "avg",
            "timm_proj": "linear", "image_size": asked.size,
        },
        text_cfg={"context_length": LENGTH, "vocab_size": VOCABULARY, **text},
        output_dict=True,
    )  # fmt: skip
    model.lock_text_tower()
    model = model.to(asked.device).to(memory_format=torch.channels_last)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
    tokens = torch.randint(1, VOCABULARY, (len(greys), LENGTH), generator=torch.Generator().manual_seed(0))
    pictures = torch.from_numpy(greys)[:, None].expand(-1, 3, -1, -1).float().div(127.5).sub(1)
    loader = _Loader(pictures.contiguous(memory_format=torch.channels_last), tokens, asked)
    data = {"train": SimpleNamespace(dataloader=loader, set_epoch=lambda _: None)}
    options = SimpleNamespace(
        device=asked.device, precision="fp32" if asked.precision == "fp32" else "amp_bf16", distill=False, accum_freq=1,
        skip_scheduler=True, grad_clip_norm=1.0, horovod=False, rank=0, local_rank=0, world_size=1,
        log_every_n_steps=1000, batch_size=asked.batch, wandb=False, save_logs=False,
    )  # fmt: skip

    def run() -> None:
        train_one_epoch(model, data, ClipLoss(), 0, optimiser, None, None, None, options)
        _wait(asked.device)

    return run


class _Loader:
    """What open_clip's loop asks of a loader."""

    def __init__(self, pictures: torch.Tensor, tokens: torch.Tensor, asked: Namespace) -> None:
        self._parts = [
            (pictures[start : start + asked.batch], tokens[start : start + asked.batch])
            for start in range(0, asked.batch * asked.steps, asked.batch)
        ]
        self.num_batches, self.num_samples = asked.steps, asked.batch * asked.steps

    def __iter__(self) -> Any:
        return iter(self._parts)


def _on(batch: Batch, device: str) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    asked = parser.parse_args()
    shape = (asked.batch * asked.steps, asked.size, asked.size)
    greys = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        ways = {"Linework": ours(asked, greys, Path(folder))}
        ways |= {f"open_clip, {name}": theirs(asked, greys, text) for name, text in TEXT_TOWERS.items()}
        quickest = dict.fromkeys(ways, float("inf"))
        for _ in range(asked.rounds):
            for name, run in ways.items():
                started = time.perf_counter()
                run()
                quickest[name] = min(quickest[name], (time.perf_counter() - started) / asked.steps)
    told = {
        name: {"ms": round(1000 * took, 1), "ratio": round(took / quickest["Linework"], 2)}
        for name, took in quickest.items()
    }
    print(json.dumps({"setting": vars(asked), "steps": told}, indent=1))


if __name__ == "__main__":
    main()
