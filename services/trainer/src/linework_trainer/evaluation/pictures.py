"""The pictures of an evaluation: mAP against the size of the database, examples of rankings, a map of the vectors."""

import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont, ImageOps
from sklearn.manifold import TSNE

from linework_core.imaging import encode_png
from linework_trainer.evaluation.ranking import Floats

CELL, FRAME, GAP = 120, 4, 8  # pixels
WRONG = (200, 0, 0)
MAPPED_CLASSES = 10  # with a colour of their own


@dataclass(frozen=True, slots=True)
class Point:
    """mAP where the database was cut down to a share of its distractors."""

    share: float
    items: float  # ranked for a query, in the mean
    map: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A drawing (a derivative) or a text, and whether it is relevant; None for the query itself."""

    what: Image.Image | str
    right: bool | None = None


def growth_curve(points: Sequence[Point], title: str) -> bytes:
    """A PNG: mAP over the size of the database, which is on a logarithmic scale."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([point.items for point in points], [point.map for point in points], "o-", color="black")
    axes.set(xscale="log", xlabel="items ranked for a query (mean)", ylabel="mAP", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    return _png(figure)


def vector_map(vectors: Floats, classes: Sequence[str | None], *, seed: int, title: str) -> bytes | None:
    """A PNG: t-SNE of vectors (n, d) in the plane, coloured by their most frequent classes. None for fewer than 5."""
    if len(vectors) < 5:
        return None
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    plane = TSNE(metric="cosine", init="random", perplexity=perplexity, random_state=seed).fit_transform(vectors)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.add_subplot(xticks=[], yticks=[], title=title)
    frequent = [name for name, _ in Counter(name for name in classes if name).most_common(MAPPED_CLASSES)]
    named = np.array([name if name in frequent else "" for name in classes])
    for name in ["", *frequent]:
        here = plane[named == name]
        axes.scatter(here[:, 0], here[:, 1], s=6, label=name or "others", color=None if name else "lightgrey")
    axes.legend(title="class", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    return _png(figure)


def contact_sheet(rows: Sequence[Sequence[Shown]]) -> bytes:
    """A PNG: a query a row and what was ranked first beside it, framed black where it is right and red where not."""
    step, widest = CELL + 2 * FRAME + GAP, max((len(row) for row in rows), default=1)
    sheet = Image.new("RGB", (step * widest + 3 * GAP, step * max(1, len(rows)) + GAP), "white")
    for number, row in enumerate(rows):
        for place, shown in enumerate(row):
            left = GAP + place * step + (2 * GAP if place else 0)  # the query stands apart
            sheet.paste(_framed(shown), (left, GAP + number * step))
    return encode_png(sheet)


def _framed(shown: Shown) -> Image.Image:
    colour = {None: (255, 255, 255), True: (0, 0, 0), False: WRONG}[shown.right]
    cell = Image.new("RGB", (CELL, CELL), "white")
    if isinstance(shown.what, str):
        font = ImageFont.load_default(size=10)
        ImageDraw.Draw(cell).text((2, 2), "\n".join(textwrap.wrap(shown.what, 20)[:9]), fill="black", font=font)
    else:
        picture = ImageOps.contain(shown.what.convert("RGB"), (CELL, CELL))
        cell.paste(picture, ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return ImageOps.expand(cell, FRAME, colour)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=120, metadata={"Software": None})  # equal pictures, equal bytes
    return written.getvalue()
