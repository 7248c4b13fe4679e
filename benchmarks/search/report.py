"""The results as a table in Markdown and as a plot."""

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

matplotlib.use("Agg")

HEAD = (
    "| class filter | before the cut | rows that pass | k | way | recall | p50 / p95 / p99, ms | `SELECT 1`"
    " | Qdrant: recall, ef | p50 / p95 / p99, ms | ratio of p50 |"
)


def line(cell: dict[str, Any]) -> str:
    ours, other = cell["ours"], cell["qdrant"]
    beside = "– | – | –"
    if other is not None:
        ef = f"{cell['ef']}" + ("" if cell["reached"] else ", short of ours")
        beside = f"{other['recall']:.3f}, {ef} | {_times(other)} | {cell['ratio']:.1f}"
    return (
        f"| {cell['filter']} | {100 * cell['share']:g}% | {cell['passing']:,} | {cell['k']} | {_way(cell['way'])}"
        f" | {ours['recall']:.3f} | {_times(ours)} | {cell['floor']:.2f} | {beside} |"
    )


def _times(timed: dict[str, float]) -> str:
    return " / ".join(f"{timed[name]:.2f}" for name in ("p50", "p95", "p99"))


def _way(way: str) -> str:
    """'embeddings_2_graph_before_20050101 ef 200' without the table's name."""
    return way.split("_", 2)[-1].replace("_", " ") if way != "scan" else way


def markdown(told: dict[str, Any]) -> str:
    rule = "|" + "---|" * HEAD.count(" | ") + "---|"
    lines = [HEAD, rule, *(line(cell) for cell in told["cells"])]
    if told["eight_clients"]:
        head = "| class filter | before the cut | queries/s, p50, p99 (ms) | Qdrant: queries/s, p50, p99 (ms) |"
        lines += ["", head, "|---|---|---|---|", *(_at_once(cell) for cell in told["eight_clients"])]
    return "\n".join(lines)


def _at_once(cell: dict[str, Any]) -> str:
    both = (f"{cell[e]['per_s']:,.0f}, {cell[e]['p50']:.1f}, {cell[e]['p99']:.1f}" for e in ("ours", "qdrant"))
    return f"| {cell['filter']} | {100 * cell['share']:g}% | {' | '.join(both)} |"


def plot(told: dict[str, Any], path: Path) -> None:
    """p50 net of the floor over the rows that pass, both engines, one panel for each k."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for panel, k in zip(panels, (10, 100), strict=True):
        cells = sorted((cell for cell in told["cells"] if cell["k"] == k), key=lambda cell: cell["passing"])
        rows = [cell["passing"] for cell in cells]
        panel.loglog(rows, [max(cell["ours"]["p50"] - cell["floor"], 1e-3) for cell in cells], "o", label="Linework")
        other = [cell["qdrant"]["p50"] if cell["qdrant"] else np.nan for cell in cells]
        panel.loglog(rows, other, "x", label="Qdrant's engine, in process")
        panel.set(title=f"{told['rows']:,} × {told['dimension']}, k = {k}", xlabel="rows that pass the filter")
        panel.grid(visible=True, which="major", alpha=0.3)
    panels[0].set_ylabel("p50 net of SELECT 1, ms")
    panels[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
