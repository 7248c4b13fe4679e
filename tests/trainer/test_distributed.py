"""Two processes that share a batch compute what one computes with all of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from linework_trainer.distributed import gather, processes
from tests.waiting import PATIENCE

SCRIPT = Path(__file__).with_name("one_of_several.py")


def outcomes(count: int, folder: Path) -> list[dict[str, Any]]:
    meeting, files = folder / f"meeting-{count}", [folder / f"{count}-{rank}.pt" for rank in range(count)]
    commands = [
        [sys.executable, str(SCRIPT), str(rank), str(count), str(meeting), str(file)] for rank, file in enumerate(files)
    ]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        for process in started:
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [torch.load(file) for file in files]


def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path: Path) -> None:
    (alone,) = outcomes(1, tmp_path)
    assert len(alone["gradients"]) == 4 + 1 + 1 + 1 + 9  # network, two temperatures, centres, s_i
    for shared in outcomes(2, tmp_path):
        torch.testing.assert_close(shared["loss"], alone["loss"])
        torch.testing.assert_close(shared["gradients"], alone["gradients"])
    assert all(gradient.abs().max() > 0 for gradient in alone["gradients"].values())


def test_alone_a_process_gathers_its_own_rows() -> None:
    rows = torch.randn(3, 2)
    assert processes() == 1
    assert gather(rows) is rows
