"""What is written down of a training's steps, and when that ends it."""

import os
import time
from pathlib import Path

import pytest
import torch

from linework_trainer.training import process
from linework_trainer.training.errors import Diverged
from linework_trainer.training.history import MOST_ROWS, History
from linework_trainer.training.plan import ALIVE


def history_of(*losses: float) -> History:
    history = History()
    for step, loss in enumerate(losses):
        history.add("main", step, {"lr": 0.1, "total": torch.tensor(loss), "loss/clip": torch.tensor(loss)})
    return history


def test_losses_that_grow_out_of_all_proportion_end_a_training() -> None:
    with pytest.raises(Diverged, match=r"grew from 2 to 40"):
        history_of(*[2.0] * 30, *[40.0] * 50).flush()


def test_a_few_high_losses_end_nothing() -> None:
    history_of(*[2.0] * 30, *[40.0] * 5, *[2.0] * 60).flush()


def test_a_loss_that_began_near_zero_may_grow_a_little() -> None:
    history_of(*[0.01] * 30, *[0.5] * 60).flush()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_named_with_its_step(value: float) -> None:
    with pytest.raises(Diverged, match=r"step 2 of stage 'main' total is"):
        history_of(1.0, 1.0, value).flush()


def test_a_long_history_stays_small_and_keeps_its_shape() -> None:
    history = history_of(*(float(step) / 1e5 for step in range(3 * MOST_ROWS)))
    for _ in range(3):
        history.flush()
    assert len(history.rows) <= MOST_ROWS
    totals = [row["total"] for row in history.rows]
    assert totals == sorted(totals)
    assert history.rows[-1]["step"] == 3 * MOST_ROWS - 1


def test_processes_whose_starter_has_died_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ALONE_S", 0.2)
    listener = process.FileListener(tmp_path, 0)
    alive = tmp_path / ALIVE
    alive.touch()
    time.sleep(0.1)
    listener.checkpoint()
    os.utime(alive, (0, 0))
    time.sleep(0.1)
    with pytest.raises(SystemExit):
        listener.checkpoint()
