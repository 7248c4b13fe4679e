"""Train the reader of printed signs on labels' sheets (services/api/src/linework_api/sheets/glyphs.npz).

    python -m benchmarks.sheet_glyphs FONT [FONT …] [--seed 0] [--out FILE]

The fonts (TrueType, OpenType, or Hershey's `.jhf` strokes) draw each sign in many sizes, weights and slants, bilevel
and reduced as sheets are; one font in eight is kept back, and the table tells how its signs are read. The network that
ships was trained on the Debian packages fonts-dejavu, fonts-liberation, fonts-freefont-ttf, fonts-urw-base35,
fonts-texgyre, fonts-osifont and hershey-fonts-data. What is no sign (other letters, pieces of line drawings by the
sample office) is drawn as well, so that it is read as such.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.neural_network import MLPClassifier

from linework_api.sheets import glyphs
from linework_api.sheets.page import page_of
from linework_office.office import plan
from linework_office.sheets import draw

OTHERS = "JKLMNPQRTUVWXYZfhjkmnpqrtuvwxy&?+=*#"
LARGE = 160  # pixels of the em from which a sign is reduced
PER_FONT = 14  # drawings of a sign in a font
Ink = NDArray[np.uint8]


class Hershey:
    """A font of strokes: each sign is lines through points, which any pen may draw."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(errors="replace").splitlines()
        self._strokes = {chr(32 + index): self._read(line) for index, line in enumerate(lines)}

    @staticmethod
    def _read(line: str) -> list[list[tuple[int, int]]]:
        strokes: list[list[tuple[int, int]]] = [[]]
        pairs = line[10:]
        for x, y in zip(pairs[::2], pairs[1::2], strict=False):
            if (x, y) == (" ", "R"):
                strokes.append([])
            else:
                strokes[-1].append((ord(x) - ord("R"), ord(y) - ord("R")))
        return [stroke for stroke in strokes if len(stroke) > 1]

    def draw(self, sign: str, dice: np.random.Generator) -> Image.Image:
        image = Image.new("L", (2 * LARGE, 2 * LARGE))
        pen, scale = int(dice.integers(5, 18)), LARGE / 32
        canvas = ImageDraw.Draw(image)
        for stroke in self._strokes.get(sign, []):
            points = [(LARGE + x * scale, LARGE + y * scale) for x, y in stroke]
            canvas.line(points, fill=255, width=pen, joint="curve")
            for x, y in points:
                canvas.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
        return image


class Outline:
    """A TrueType or OpenType font."""

    def __init__(self, path: Path) -> None:
        self._font = ImageFont.truetype(path, LARGE)

    def draw(self, sign: str, dice: np.random.Generator) -> Image.Image:
        image = Image.new("L", (2 * LARGE, 2 * LARGE))
        weight = int(dice.integers(0, 4)) * int(dice.random() < 0.3)
        ImageDraw.Draw(image).text((LARGE // 2, LARGE // 2), sign, 255, self._font, stroke_width=weight)
        return image


def signs(font: Hershey | Outline, dice: np.random.Generator) -> Iterator[tuple[str, Ink]]:
    """Each sign of a font so many times, cut as a sheet's are."""
    for sign in glyphs.SIGNS[:-1] + OTHERS:
        for _ in range(PER_FONT if sign not in OTHERS else 4):
            cut = cut_out(printed(font.draw(sign, dice), dice))
            if cut is not None:
                yield (glyphs.JUNK if sign in OTHERS else sign), cut


def printed(drawn: Image.Image, dice: np.random.Generator) -> Image.Image:
    """A sign as a sheet has it: slanted a little, 20 to 80 pixels high, ragged, black on white."""
    slant, turn = dice.normal(0, 0.05), dice.normal(0, 0.015)
    wide = dice.uniform(0.85, 1.15)
    centre = drawn.width / 2
    affine = (wide, slant + turn, centre * (1 - wide - slant - turn), -turn, 1.0, centre * turn)
    drawn = drawn.transform(drawn.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    side = round(drawn.width * dice.uniform(24, 90) / LARGE)
    values = np.asarray(drawn.resize((side, side), Image.Resampling.BOX), dtype=np.float32)
    values = values + dice.normal(0, 25, values.shape)
    black = values > dice.uniform(90, 170)
    return Image.fromarray(np.where(black, 0, 255).astype(np.uint8)).reduce(int(dice.choice([1, 2, 2])))


def cut_out(image: Image.Image) -> Ink | None:
    """The largest component of a picture."""
    page = page_of(image)
    if not len(page.boxes):
        return None
    areas = np.bincount(page.owner.ravel())[page.numbers]
    top, left, bottom, right = page.boxes[areas.argmax()]
    mine = page.owner[top:bottom, left:right] == page.numbers[areas.argmax()]
    return np.where(mine, 255 - page.grey[top:bottom, left:right], 0).astype(np.uint8) if bottom - top > 6 else None


def pieces(designs: int, dice: np.random.Generator) -> Iterator[tuple[str, Ink]]:
    """Pieces of line drawings that are as large as signs."""
    for design in plan(designs, seed=77):
        for sheet in draw(design, 0.4)[:1]:  # the front page, which has no label
            page = page_of(Image.fromarray(np.where(sheet.ink, 0, 255).astype(np.uint8)))
            for number, (top, left, bottom, right) in zip(page.numbers, page.boxes, strict=True):
                if 8 <= bottom - top <= 90 and right - left <= 1.3 * (bottom - top) and right - left > 3:
                    mine = page.owner[top:bottom, left:right] == number
                    ink = np.where(mine, 255 - page.grey[top:bottom, left:right], 0).astype(np.uint8)
                    yield glyphs.JUNK, np.rot90(ink, int(dice.integers(4)))


def table(pairs: list[tuple[str, Ink]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rows = np.stack([glyphs.normalised(np.ascontiguousarray(ink)) for _, ink in pairs])
    return rows, np.array([glyphs.SIGNS.index(sign) for sign, _ in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fonts", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(glyphs.__file__).with_name("glyphs.npz"))
    options = parser.parse_args()
    dice = np.random.default_rng(options.seed)
    drawn = [list(signs(Hershey(p) if p.suffix == ".jhf" else Outline(p), dice)) for p in sorted(options.fonts)]
    kept = {int(k) for k in dice.permutation(len(drawn))[: len(drawn) // 8]}
    junk = list(pieces(60, dice))
    train = table([pair for k, part in enumerate(drawn) if k not in kept for pair in part] + junk)
    test = table([pair for k in kept for pair in drawn[k]])
    network = MLPClassifier((64,), alpha=3e-4, batch_size=256, max_iter=30, early_stopping=True, random_state=0)
    network.fit(*train)
    shares = network.predict_proba(test[0])
    right = shares.argmax(axis=1) == test[1]
    sure = shares.max(axis=1) >= 0.9
    print(f"| signs to train on | kept back | read right | sure (0.9) | right if sure |\n{'|---' * 5}|")
    print(f"| {len(train[0])} | {len(right)} | {right.mean():.3f} | {sure.mean():.3f} | {right[sure].mean():.4f} |")
    mistaken = zip(test[1][~right], shares.argmax(axis=1)[~right], strict=True)
    wrong = [f"{glyphs.SIGNS[sign]}→{glyphs.SIGNS[read]}" for sign, read in mistaken]
    names, counts = np.unique(wrong, return_counts=True)
    print(", ".join(f"{names[k]} {counts[k]}" for k in counts.argsort()[::-1][:16]))
    (w0, w1), (b0, b1) = network.coefs_, network.intercepts_
    weights = {"w0": w0, "b0": b0, "w1": w1, "b1": b1}
    np.savez_compressed(options.out, **{name: value.astype(np.float16) for name, value in weights.items()})


if __name__ == "__main__":
    main()
