"""Drawings as offices file them: with a printed label, and with others of the patent on the same sheet.

A corpus whose sheets are not split shows such to the encoder; what is trained on may be single drawings alone.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from linework_core.recipes import Augmentation
from linework_trainer.data.dataset import TrainingData
from linework_vision.pictures import INK_MARGIN, WHITE, crop_to_ink, fit_on_white

Greys = NDArray[np.uint8]
SMALLEST = 0.6  # of the first drawing's size that the other one has at least
GAP = 0.25  # of a drawing's side that is left between the two at most
LETTERS = (0.05, 0.13)  # height of a label's letters, as a share of the sheet's shorter side
STYLES = ("FIG. {}", "Fig. {}", "FIG.{}", "FIG {}", "1.{}")


class Sheets:
    """Draws drawings of a training, now and then as part of a sheet; the same seed always gives the same."""

    def __init__(self, data: TrainingData, settings: Augmentation) -> None:
        self._data, self._settings = data, settings
        self._by_patent = data.train[np.argsort(data.labels.patents[data.train], kind="stable")]
        self._patents = data.labels.patents[self._by_patent]

    def __call__(self, drawing: int, seed: tuple[int, ...]) -> Greys:
        """uint8 (h, w), as large as the training's pictures."""
        greys: Greys = self._data.pictures[drawing]
        if not (self._settings.company or self._settings.label):
            return greys
        dice = np.random.default_rng(seed)
        with_other, with_label = dice.random(2) < (self._settings.company, self._settings.label)
        if not (with_other or with_label):
            return greys
        sheet = Image.fromarray(greys)
        if with_other and (others := self._others(drawing)).size:
            sheet = beside(sheet, Image.fromarray(self._data.pictures[dice.choice(others)]), dice)
        if with_label:
            sheet = labelled(sheet, dice)
        height, width = greys.shape
        fitted = fit_on_white(crop_to_ink(sheet), width, height, Image.Resampling.BILINEAR, margin=INK_MARGIN)
        return np.asarray(fitted)

    def _others(self, drawing: int) -> NDArray[np.int64]:
        patent = self._data.labels.patents[drawing]
        low, high = np.searchsorted(self._patents, [patent, patent + 1])
        mine: NDArray[np.int64] = self._by_patent[low:high]
        others: NDArray[np.int64] = mine[mine != drawing]
        return others


def beside(first: Image.Image, second: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Both on one sheet, next to or below one another, in either order."""
    first, second = crop_to_ink(first), crop_to_ink(second)
    scale = dice.uniform(SMALLEST, 1) * max(first.size) / max(second.size)
    second = second.resize((max(1, round(second.width * scale)), max(1, round(second.height * scale))))
    if dice.random() < 0.5:
        first, second = second, first
    gap = round(dice.uniform(0.06, GAP) * max(first.size))
    # mostly one below the other, as sheets are higher than wide
    if dice.random() < 0.7:
        sheet = Image.new("L", (max(first.width, second.width), first.height + gap + second.height), WHITE)
        places = [
            (_free(sheet.width - first.width, dice), 0),
            (_free(sheet.width - second.width, dice), first.height + gap),
        ]
    else:
        sheet = Image.new("L", (first.width + gap + second.width, max(first.height, second.height)), WHITE)
        places = [
            (0, _free(sheet.height - first.height, dice)),
            (first.width + gap, _free(sheet.height - second.height, dice)),
        ]
    for picture, place in zip((first, second), places, strict=True):
        sheet.paste(picture, place)
    return sheet


def labelled(drawing: Image.Image, dice: np.random.Generator) -> Image.Image:
    """With a label below or above, seldom turned to the side as on a sheet that lies."""
    text = STYLES[dice.integers(len(STYLES))].format(dice.integers(1, 12))
    font = _font(round(dice.uniform(*LETTERS) * min(drawing.size)) or 1)
    left, top, right, bottom = font.getbbox(text)
    label = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2), WHITE)
    ImageDraw.Draw(label).text((1 - left, 1 - top), text, fill=0, font=font)
    if dice.random() < 0.2:
        turned = _with_label_along(drawing.rotate(90, expand=True), label, dice)
        return turned.rotate(-90, expand=True)
    return _with_label_along(drawing, label, dice)


def _with_label_along(drawing: Image.Image, label: Image.Image, dice: np.random.Generator) -> Image.Image:
    """The label under the drawing (or, as often as not with numbers of Hague designs, over it), anywhere along it."""
    gap = round(dice.uniform(0.02, 0.15) * drawing.height)
    width = max(drawing.width, label.width)
    sheet = Image.new("L", (width, drawing.height + gap + label.height), WHITE)
    above = dice.random() < 0.2
    sheet.paste(drawing, ((width - drawing.width) // 2, label.height + gap if above else 0))
    sheet.paste(label, (_free(width - label.width, dice), 0 if above else drawing.height + gap))
    return sheet


def _free(space: int, dice: np.random.Generator) -> int:
    return int(dice.integers(0, space + 1))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    found = ImageFont.load_default(max(4, size))
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found
