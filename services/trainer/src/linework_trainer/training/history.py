"""What happened at each step: losses, learning rate, length of the gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from linework_trainer.training.errors import Diverged

Row = dict[str, Any]  # 'stage', 'step' and numbers: 'lr', 'gradient', 'total', 'loss/…', 's/…', 'temperature/…'
MOST_ROWS = 4096  # beyond that neighbours are joined, so that a long training's history stays small
FIRST, LATELY, TOO_MUCH = 20, 50, 5.0


class History:
    """The rows of a training. Numbers stay on the device until `flush`, so that a step need not wait for them."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows: list[Row] = list(rows)
        self._waiting: list[tuple[Row, list[str], Tensor]] = []

    def add(self, stage: str, step: int, numbers: dict[str, Tensor | float]) -> None:
        tensors = {name: value for name, value in numbers.items() if isinstance(value, Tensor)}
        plain = {name: value for name, value in numbers.items() if not isinstance(value, Tensor)}
        stacked = torch.stack([value.detach().float().reshape(()) for value in tensors.values()])
        self._waiting.append(({"stage": stage, "step": step, **plain}, list(tensors), stacked))

    def flush(self) -> None:
        """Fetch what waits. Raises Diverged."""
        for row, names, stacked in self._waiting:
            row |= dict(zip(names, stacked.tolist(), strict=True))
            _check_finite(row)
            self.rows.append(row)
        self._waiting.clear()
        _check_growth(self.rows)
        if len(self.rows) > MOST_ROWS:
            self.rows = _thinned(self.rows)


def losses_of(row: Row) -> dict[str, float]:
    """The row's losses by component."""
    return {name.removeprefix("loss/"): value for name, value in row.items() if name.startswith("loss/")}


def _check_finite(row: Row) -> None:
    broken = [name for name, value in row.items() if isinstance(value, float) and not -1e30 < value < 1e30]
    if broken:
        told = ", ".join(f"{name} is {row[name]}" for name in broken)
        raise Diverged(
            f"At step {row['step']} of stage '{row['stage']}' {told}. A lower learning rate, or a shorter 'clip_norm',"
            " may help.",
            step=row["step"],
            stage=row["stage"],
        )


def _check_growth(rows: Sequence[Row]) -> None:
    """The losses of the last steps against those of the stage's first ones. Learned weights are left out: they may be
    negative, and the sum with them.
    """
    stage = [row for row in rows if row["stage"] == rows[-1]["stage"]] if rows else []
    if len(stage) < FIRST + LATELY:
        return
    first, lately = _mean_loss(stage[:FIRST]), _mean_loss(stage[-LATELY:])
    if lately > TOO_MUCH * first + 1:  # a loss that began near zero may well grow a little
        raise Diverged(
            f"In stage '{stage[-1]['stage']}' the losses grew from {first:.3g} to {lately:.3g} by step"
            f" {stage[-1]['step']}. A lower learning rate may help.",
            step=stage[-1]["step"],
            stage=stage[-1]["stage"],
        )


def _mean_loss(rows: Sequence[Row]) -> float:
    return sum(sum(losses_of(row).values()) for row in rows) / len(rows)


def _thinned(rows: Sequence[Row]) -> list[Row]:
    """Half as many rows: neighbours of one stage become their mean."""
    thinned = []
    pending: Row | None = None
    for row in rows:
        if pending is not None and pending["stage"] == row["stage"]:
            numbers = {name: (pending[name] + row[name]) / 2 for name in row if name not in ("stage", "step")}
            thinned.append({"stage": row["stage"], "step": row["step"], **numbers})
            pending = None
        else:
            thinned += [pending] if pending is not None else []
            pending = row
    return [*thinned, pending] if pending is not None else thinned
