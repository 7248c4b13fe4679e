"""One process of a training: alone within a worker, or one of several that torchrun started:

    torchrun --nproc-per-node=8 -m linework_trainer.training.process FOLDER

On several nodes the folder, the cache that it names and the object store must be shared by them.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import structlog
import torch
from torch import distributed

from linework_core import logs
from linework_core.errors import LineworkError
from linework_core.store import open_store
from linework_trainer.data.batches import Share
from linework_trainer.data.dataset import TrainingData
from linework_trainer.training.loop import Listener, Report, Training
from linework_trainer.training.plan import ALIVE, CHECKPOINT, DATA, OUTCOME, REPORTS, Plan
from linework_trainer.training.state import KeptState
from linework_vision.checkpoint import DrawingNet, save_checkpoint

log = structlog.get_logger()
ALONE_S = 60.0  # so long without a sign of whoever started it, a training ends


def train(folder: Path, listener: Listener, share: Share = Share(), device: str | None = None) -> None:  # noqa: B008
    """Do what the folder's plan says: the first process leaves a checkpoint and an outcome there.

    Raises Diverged, BadRecipe, WeightsUnavailable, and what the listener raises.
    """
    plan = Plan.read(folder)
    kept = KeptState(open_store(plan.objects_url), plan.state_key, plan.fingerprint)
    data = TrainingData.open(folder / DATA)
    training = Training(plan, data, kept, listener, device=device or plan.device, share=share)
    net = training.run()
    if share.rank == 0:
        _leave(folder, plan, training, net)


def _leave(folder: Path, plan: Plan, training: Training, net: DrawingNet) -> None:
    told = {"images": training.images, "seconds": training.took, "looks": training.looks}
    scores = [look["map"] for look in training.looks if look["map"] is not None]
    relevant = plan.recipe.validation.relevant
    metrics = {f"mAP, same {relevant}, of drawings kept back": scores[-1]} if scores else {}
    config = plan.config.model_copy(update={"training": plan.config.training | {"images": training.images}})
    save_checkpoint(folder / CHECKPOINT, net.cpu(), config, plan.card.model_copy(update={"metrics": metrics}))
    (folder / OUTCOME).write_text(json.dumps(told | {"history": training.history.rows}))


class FileListener:
    """Tells through files, for the process that started torchrun: a line of JSON for each report or error."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank
        self._looked = time.monotonic()

    def checkpoint(self) -> None:
        """Raises SystemExit when nobody waits for the training any more."""
        if time.monotonic() - self._looked > ALONE_S / 4:
            self._looked = time.monotonic()
            alive = self._folder / ALIVE
            if not alive.exists() or time.time() - alive.stat().st_mtime > ALONE_S:
                raise SystemExit("Nobody waits for this training any more.")

    def tell(self, report: Report) -> None:
        self._write({"report": report})

    def fail(self, error: LineworkError) -> None:
        self._write({"error": {"type": error.type, "detail": error.detail, "extra": error.extra}})

    def _write(self, line: dict[str, Any]) -> None:
        if self._rank == 0 or "error" in line:
            with (self._folder / REPORTS).open("a") as file:
                file.write(json.dumps(line) + "\n")


def main(folder: Path) -> None:
    """What torchrun starts."""
    share = Share(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    logs.configure("trainer", os.environ.get("LOG_LEVEL", "INFO"))
    on_gpus = Plan.read(folder).device.startswith("cuda")
    device = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpus else "cpu"
    if on_gpus:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpus else "gloo")
    listener = FileListener(folder, share.rank)
    try:
        train(folder, listener, share, device)
    except LineworkError as error:
        listener.fail(error)
        log.error("training_failed", reason=error.detail)
        sys.exit(1)
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
