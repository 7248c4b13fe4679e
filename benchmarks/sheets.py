"""Composite sheets: labels found and read, sheets split into the right number of drawings, what that does to search.

    LINEWORK_DATA=… python -m benchmarks.sheets [--pictures FOLDER] [--retrieval] [--seconds]

- `impact30`: 30 patents, 146 sheets with drawings, each with its text. How many figures a sheet has was counted by
  eye (COMPOSITE; all others have one), and they are in the order of the text. A sheet is split wrongly if
  another number of drawings comes out than it has figures; it may also stay whole, which is right only for one.
- `label-boxes`: 15 sheets without a text, so any number is possible; labels as an OCR service found them.
- The sample office: sheets of generated designs, whose figures and boxes are known.

`--retrieval`: same-patent retrieval with HOG on impact30. Ranked are sheets, each by its best drawing; relevant are the
other sheets of the patent. Asked with what is stored (a sheet's value is the mean of its drawings'), and with clean
drawings (cut, upright, without labels), as people bring them. Intervals: 95% bootstrap that draws patents, paired.
`--seconds`: what splitting costs beside decode and derivative, on one core. `--pictures`: contact sheets.
"""

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from linework_api.ingest import sources
from linework_api.ingest.formats import read
from linework_api.sheets.accounts import Account, settle
from linework_api.sheets.layout import Layout, cut, split
from linework_core import imaging
from linework_core.records import PatentRecord
from linework_office.office import plan
from linework_office.sheets import draw

COMPOSITE = {
    "USD0908314": (1, 2, 2, 2), "USD0913175": (2, 2, 2), "USD0919623": (1, 2, 2, 1, 1),
    "USD0921834": (1, 1, 1, 1, 1, 2, 1), "USD0921835": (1, 1, 1, 1, 1, 2, 1), "USD0925765": (1, 4, 1, 1),
    "USD0928144": (1, 1, 1, 2, 2), "USD0930094": (1, 4), "USD0933283": (1, 2, 2, 2),
    "USD0934827": (1, 2, 1, 1, 2, 1, 1),
}  # fmt: skip
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet with what is true of it (the figures on it) and what was made of it."""

    patent: str
    name: str
    data: bytes
    grey: Image.Image
    figures: tuple[str, ...]
    layout: Layout
    account: Account

    @property
    def pictures(self) -> list[Image.Image]:
        """Its drawings as they would be stored."""
        if self.account.certain and self.layout.parts:
            return [cut(self.grey, self.layout, part) for part in self.layout.parts]
        return [cut(self.grey, self.layout, self.layout.whole) if self.layout.whole else self.grey]


def impact(root: Path) -> Iterator[Sheet]:
    for record in read(sources.resolve((root / "uspto" / "impact30").as_uri(), None)):
        if not isinstance(record, PatentRecord):
            continue
        numbers = tuple(figure.number for figure in record.figures)
        pages = [sheet for sheet in record.sheets if sheet.role == "drawings"]
        counts = COMPOSITE.get(record.id, (1,) * len(pages))
        if (sum(counts), len(counts)) != (len(numbers), len(pages)):
            raise ValueError(f"{record.id}: the counts are not those of this package")
        greys = [imaging.dark_on_white(imaging.greyscale(imaging.open_image(page.read()))) for page in pages]
        layouts = [split(grey, numbers) for grey in greys]
        accounts = settle({k: said(layout) for k, layout in enumerate(layouts)}, numbers)
        first = 0
        for k, (page, count) in enumerate(zip(pages, counts, strict=True)):
            true = numbers[first : first + count]
            yield Sheet(record.id, page.id, page.read(), greys[k], true, layouts[k], accounts[k])
            first += count


def said(layout: Layout) -> tuple[str | None, ...]:
    return tuple(part.figure for part in layout.parts) or tuple(label.number for label in layout.labels)


def tally(title: str, sheets: Sequence[Sheet]) -> None:
    composite = [sheet for sheet in sheets if len(sheet.figures) > 1]
    single = [sheet for sheet in sheets if len(sheet.figures) == 1]
    exact = sum(len(sheet.pictures) == len(sheet.figures) for sheet in composite)
    wrong = sum(1 < len(sheet.pictures) != len(sheet.figures) for sheet in composite)
    broken = sum(len(sheet.pictures) > 1 for sheet in single)
    linked = [set(sheet.account.figures) - {None} for sheet in sheets]
    false = sum(len(found - set(sheet.figures)) for found, sheet in zip(linked, sheets, strict=True))
    right = sum(len(found & set(sheet.figures)) for found, sheet in zip(linked, sheets, strict=True))
    figures = sum(len(sheet.figures) for sheet in sheets)
    print(
        f"| {title} | {len(composite)} | {exact} | {wrong} | {len(single)} | {broken} | {figures} | {right} | {false} |"
    )


def boxes(root: Path) -> Iterator[tuple[Path, Image.Image, list[tuple[str, float, float]]]]:
    """Sheets with their labels' numbers and where these stand (pixels): words that are a number beside a 'FIG'."""
    for path in sorted((root / "deeppatent2" / "label-boxes").glob("*.png")):
        grey = imaging.greyscale(imaging.open_image(path.read_bytes()))
        words = []
        for word in json.loads(path.with_suffix(".json").read_text()):
            corners = word["Geometry"]["Polygon"]
            x, y = (sum(corner[axis] for corner in corners) / len(corners) for axis in "XY")
            if word["Type"] == "WORD":
                words.append((word["DetectedText"], x * grey.width, y * grey.height))
        figs = [(x, y) for text, x, y in words if re.match("fig", text, re.IGNORECASE)]
        labels = []
        for text, x, y in words:
            number = re.fullmatch(r"(?:FIG\.? ?)?(\d+)", text)
            if number and any(np.hypot(x - a, y - b) < 0.12 * max(grey.size) for a, b in figs):
                labels.append((number[1], x, y))
        yield path, grey, labels


def judge_boxes(root: Path, folder: Path | None) -> None:
    total = found = right = wrong = exact = extra = 0
    tiles = []
    for path, grey, truth in boxes(root):
        layout = split(grey)
        total += len(truth)
        exact += len(layout.parts) == len(truth)
        hit = 0
        for label in layout.labels:
            top, left, bottom, lower_right = (side * layout.page.factor for side in label.box)
            near = [n for n, x, y in truth if left - 20 < x < lower_right + 20 and top - 20 < y < bottom + 20]
            hit += bool(near)
            right += label.number in near
            wrong += label.number is not None and label.number not in near
        found += hit
        extra += len(layout.labels) - hit
        tiles.append((f"{path.stem[3:]}: {layout.reason or 'split'}", grey, layout))
    print(
        "\n| labels | found | read right | read wrong | false | sheets | exactly split |\n|---|---|---|---|---|---|---|"
    )
    print(f"| {total} | {found} | {right} | {wrong} | {extra} | {len(tiles)} | {exact} |")
    if folder:
        contact(tiles, folder / "label-boxes.png")


def office(designs: int) -> list[Sheet]:
    sheets = []
    for design in plan(designs, seed=5):
        pages = draw(design)[1:]
        numbers = tuple(re.sub(r"^FIG\. ?", "", label) for label in design.labels)
        greys = [Image.fromarray(np.where(page.ink, 0, 255).astype(np.uint8)) for page in pages]
        layouts = [split(grey, numbers) for grey in greys]
        accounts = settle({k: said(layout) for k, layout in enumerate(layouts)}, numbers)
        for k, page in enumerate(pages):
            true = tuple(numbers[index] for index, _ in page.figures)
            sheets.append(Sheet(design.name, f"{k}", b"", greys[k], true, layouts[k], accounts[k]))
    return sheets


def contact(tiles: Sequence[tuple[str, Image.Image, Layout]], path: Path, side: int = 400, columns: int = 5) -> None:
    """Sheets with the boxes of labels (red) and drawings (blue, with their figure)."""
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * (side + 10), rows * (side + 25)), (200, 200, 200))
    canvas = ImageDraw.Draw(page)
    for k, (title, grey, layout) in enumerate(tiles):
        x, y = k % columns * (side + 10), k // columns * (side + 25)
        canvas.text((x, y), title, fill=(0, 0, 0))
        small = grey.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.BOX)
        scale = small.width / grey.width
        page.paste(small, (x, y + 15))
        for label in layout.labels:
            top, left, bottom, right = (edge * layout.page.factor * scale for edge in label.box)
            canvas.rectangle((x + left, y + 15 + top, x + right, y + 15 + bottom), outline=(255, 0, 0))
        for part in layout.parts:
            left, top, width, height = (edge * scale for edge in part.box)
            canvas.rectangle((x + left, y + 15 + top, x + left + width, y + 15 + top + height), outline=(0, 0, 255))
            canvas.text((x + left + 3, y + 17 + top), str(part.figure), fill=(0, 0, 255))
    page.save(path)


def retrieval(sheets: Sequence[Sheet]) -> None:
    """The table of same-patent retrieval: asked with the pictures of each row itself, and with clean drawings."""
    from benchmarks.descriptors import Bootstrap  # torch and the encoders, for those who want this table
    from linework_vision import load

    encoder = load("hog")

    def vectors(pictures: Callable[[Sheet], list[Image.Image]]) -> tuple[Values, NDArray[np.int64]]:
        lists = [pictures(sheet) for sheet in sheets]
        flat = [imaging.to_derivative(image) for images in lists for image in images]
        home = np.repeat(np.arange(len(sheets)), [len(images) for images in lists])
        return encoder.encode_drawings([encoder.preprocess(image) for image in flat]).astype(np.float64), home

    owners = np.array([sheet.patent for sheet in sheets])
    clean, clean_home = vectors(lambda sheet: sheet.pictures)
    first: list[Values] = []
    print("\n| stored | pictures | asked with the same | against as filed | asked with clean drawings | gain |")
    print("|---|---|---|---|---|---|")
    for name, pictures in VARIANTS.items():
        rows, home = vectors(pictures)
        values = [precisions(rows @ rows.T, home, home, owners), precisions(clean @ rows.T, clean_home, home, owners)]
        values[0] = np.array([values[0][home == sheet].mean() for sheet in range(len(sheets))])
        first = first or values
        cells = []
        for one, base, asked in zip(values, first, (owners, owners[clean_home]), strict=True):
            bootstrap = Bootstrap(asked.tolist(), ~np.isnan(one))
            cells += ["{:.3f} ({:.3f} to {:.3f})".format(*bootstrap(one))]
            cells += ["{:+.3f} ({:+.3f} to {:+.3f})".format(*bootstrap(one - base))]
        print(f"| {name} | {len(rows)} | {' | '.join(cells)} |", flush=True)


def _whole(sheet: Sheet) -> list[Image.Image]:
    layout = sheet.layout
    return [cut(sheet.grey, layout, layout.whole) if layout.whole else sheet.grey]


def _painted(sheet: Sheet) -> list[Image.Image]:
    """Labels painted white, nothing else changed."""
    image = sheet.grey.copy()
    for label in sheet.layout.labels if sheet.layout.whole else ():
        for top, left, bottom, right in sheet.layout.page.boxes[list(label.signs)] * sheet.layout.page.factor:
            image.paste(255, (int(left), int(top), int(right), int(bottom)))
    return [image]


def _lying(sheet: Sheet) -> list[Image.Image]:
    """Split, but not turned."""
    back = {90: Image.Transpose.ROTATE_90, 270: Image.Transpose.ROTATE_270}
    turned = 90 * sheet.layout.turn
    return [image.transpose(back[turned]) if turned else image for image in sheet.pictures]


VARIANTS: dict[str, Callable[[Sheet], list[Image.Image]]] = {
    "sheets as filed": lambda sheet: [sheet.grey],
    "labels masked": _painted,
    "masked, cut to the ink, upright": _whole,
    "masked, split, not turned": _lying,
    "masked, split, upright": lambda sheet: sheet.pictures,
}


def precisions(similar: Values, asking: NDArray[np.int64], home: NDArray[np.int64], owners: NDArray[np.str_]) -> Values:
    """Average precision of each query: all sheets but its own, ranked by their best drawing. NaN: nothing is relevant.

    similar (queries, drawings); asking, home: the sheet of each query and of each drawing.
    """
    best = np.full((len(owners), len(asking)), -np.inf)
    np.maximum.at(best, home, similar.T)
    every = np.arange(len(owners))
    found = [average_precision(best[:, k], owners == owners[sheet], every != sheet) for k, sheet in enumerate(asking)]
    return np.array(found)


def average_precision(scores: Values, wanted: NDArray[np.bool_], able: NDArray[np.bool_]) -> float:
    hits = wanted[able][np.argsort(-scores[able], kind="stable")]
    places = np.flatnonzero(hits) + 1
    return float(np.mean(np.arange(1, len(places) + 1) / places)) if len(places) else float("nan")


def seconds(sheets: Sequence[Sheet]) -> None:
    """Milliseconds of one core, median and 95th percentile."""
    rows: dict[str, list[float]] = {"decode and derivative": [], "splitting": []}
    for sheet in sheets:
        start = time.process_time()
        imaging.encode_png(imaging.to_derivative(imaging.open_image(sheet.data)))
        rows["decode and derivative"].append(time.process_time() - start)
        start = time.process_time()
        split(sheet.grey, sheet.figures)
        rows["splitting"].append(time.process_time() - start)
    print("\n| | median ms | p95 ms | mean ms |\n|---|---|---|---|")
    for name, values in rows.items():
        told = 1000 * np.array([np.median(values), np.percentile(values, 95), np.mean(values)])
        print(f"| {name} | {told[0]:.1f} | {told[1]:.1f} | {told[2]:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder for contact sheets")
    parser.add_argument("--retrieval", action="store_true")
    parser.add_argument("--seconds", action="store_true")
    parser.add_argument("--designs", type=int, default=60, help="of the sample office")
    options = parser.parse_args()
    root = Path(os.environ["LINEWORK_DATA"])
    sheets = list(impact(root))
    print("| set | composite | exact | wrong | single | wrongly split | figures | linked right | linked wrong |")
    print("|---|---|---|---|---|---|---|---|---|")
    tally("impact30", sheets)
    if options.designs:
        drawn = office(options.designs)
        tally(f"sample office, {options.designs} designs", drawn)
    for sheet in sheets:
        if not sheet.account.certain or len(sheet.pictures) != len(sheet.figures):
            print(f"{sheet.name}: {sheet.figures}, {sheet.account}, {sheet.layout.reason}, {said(sheet.layout)}")
    judge_boxes(root, options.pictures)
    if options.pictures:
        tiles = [(f"{s.name[6:]} {s.layout.reason or s.account.reason or ''}", s.grey, s.layout) for s in sheets]
        for k in range(0, len(tiles), 20):
            contact(tiles[k : k + 20], options.pictures / f"impact30-{k // 20}.png")
        if options.designs:
            odd = [s for s in drawn if len(s.figures) > 1 or len(s.pictures) != 1]
            contact([(f"{s.patent} {s.layout.reason or s.account.reason or ''}", s.grey, s.layout) for s in odd][:40],
                    options.pictures / "office.png")  # fmt: skip
    if options.seconds:
        seconds(sheets)
    if options.retrieval:
        retrieval(sheets)


if __name__ == "__main__":
    main()
