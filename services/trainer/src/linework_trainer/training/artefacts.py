"""What a training leaves for people: curves as a picture, and event files for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboardX import SummaryWriter

from linework_trainer.training.history import Row

CURVES = "curves.png"


def draw_curves(file: Path, rows: Sequence[Row], looks: Sequence[dict[str, Any]], title: str) -> None:
    """Losses by component, the learning rate, what is learned of weights, and mAP on what was kept back (PNG)."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(2, 2).ravel()
    places, begins = _places(rows)
    panels: tuple[tuple[str, str | tuple[str, ...]], ...] = (
        ("losses", "loss/"),
        ("learning rate", "lr"),
        ("s and temperature", ("s/", "temperature")),
    )
    for axis, (name, prefix) in zip(axes, panels, strict=False):
        axis.set_title(name)
        for key in sorted({key for row in rows for key in row if key.startswith(prefix)}):
            known = [(place, row[key]) for place, row in zip(places, rows, strict=True) if key in row]
            axis.plot(*zip(*known, strict=True), label=key.removeprefix("loss/"), linewidth=1)
        axis.set_xlabel("step")
        if axis.lines:
            axis.legend(fontsize="small")
    axes[3].set_title("mAP of drawings kept back")
    seen = [(begins[look["stage"]] + look["step"], look["map"]) for look in looks if look["map"] is not None]
    if seen:
        axes[3].plot(*zip(*seen, strict=True), marker="o", markersize=3)
    axes[3].set_xlabel("step")
    figure.savefig(file, dpi=100)


def write_events(folder: Path, rows: Sequence[Row], looks: Sequence[dict[str, Any]]) -> list[Path]:
    """TensorBoard's event files, stages one after the other."""
    places, begins = _places(rows)
    with SummaryWriter(str(folder)) as writer:
        for place, row in zip(places, rows, strict=True):
            for name, value in row.items():
                if name not in ("stage", "step"):
                    writer.add_scalar(f"{row['stage']}/{name}", value, place)
        for look in looks:
            if look["map"] is not None:
                writer.add_scalar(f"{look['stage']}/validation/map", look["map"], begins[look["stage"]] + look["step"])
    return sorted(file for file in folder.iterdir() if file.is_file())


def _places(rows: Sequence[Row]) -> tuple[list[int], dict[str, int]]:
    """Where each row stands on an axis that runs through all stages, and where each stage begins."""
    begins: dict[str, int] = {}
    places: list[int] = []
    for row in rows:
        begin = begins.setdefault(row["stage"], places[-1] + 1 if places else 0)
        places.append(begin + row["step"])
    return places, begins
