"""Augmentation of drawings: what may change about a drawing while it still shows the same design.

Flips, crops, rotation and erasing are torchvision's. Whatever uncovers the ground uncovers white paper.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from linework_core.recipes import Augmentation
from linework_vision import torchvision_gap  # noqa: F401  # before torchvision
from linework_vision.pictures import WHITE

from torchvision.transforms import v2  # isort: skip


class Augment:
    """Draws one variant of a drawing; the same seed always draws the same."""

    def __init__(self, settings: Augmentation, height: int, width: int) -> None:
        self.settings = settings
        self.steps = _steps(settings, height, width)

    def __call__(self, greys: NDArray[np.uint8], seed: Sequence[int]) -> NDArray[np.uint8]:
        """Greys of any size in the same proportions, uint8 (h, w), to uint8 (height, width).

        `seed` is any tuple of numbers from 0, such as (run, epoch, item): so a variant depends neither on the
        order of loading nor on the number of loading processes, and a resumed run draws what it would have drawn.
        """
        number = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        with torch.random.fork_rng(devices=[]):  # the transforms draw from torch's own state
            torch.default_generator.manual_seed(int(number))
            changed: Tensor = self.steps(Image.fromarray(greys))
        return changed.squeeze(0).numpy()


def _steps(settings: Augmentation, height: int, width: int) -> nn.Module:
    """Geometry first, on a Pillow image: Pillow turns and resizes several times as fast as torch, and torchvision's
    own rotation blends the border with black before it fills, which frames white paper in grey.
    """
    flips = [v2.RandomHorizontalFlip(settings.horizontal_flip), v2.RandomVerticalFlip(settings.vertical_flip)]
    rotation = v2.RandomRotation(settings.rotation, v2.InterpolationMode.BILINEAR, fill=WHITE)
    proportions = (width / height / settings.crop_stretch, width / height * settings.crop_stretch)
    crop = v2.RandomResizedCrop((height, width), (settings.smallest_crop, 1.0), proportions)
    composed: nn.Module = v2.Compose(
        [
            *flips,
            rotation,
            crop,
            v2.PILToTensor(),
            v2.RandomApply([LineWidth()], settings.line_width),
            v2.RandomErasing(settings.erasing, scale=(0.02, 0.15), value=WHITE),
            v2.RandomApply([GridMask()], settings.grid_mask),
        ]
    )
    return composed


class LineWidth(v2.Transform):  # type: ignore[misc]
    """Lines become thicker or thinner by a random part of a pixel on each side.

    Patents are drawn with pens of all widths, scanned and resized besides: the width says nothing of the design.
    """

    # A full step would make lines of two pixels vanish, and hatching grey; seen by eye (benchmarks/augmentations.py)
    thinnest, thickest = 0.5, 0.6

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The degree: below 0 thinner, above 0 thicker."""
        return {"degree": float(torch.empty(1).uniform_(-self.thinnest, self.thickest))}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """uint8 (1, h, w) to the same."""
        degree, greys = params["degree"], inpt.float()
        sign = 1 if degree < 0 else -1  # the lightest neighbour eats the line, the darkest one widens it
        changed = sign * functional.max_pool2d(sign * greys, kernel_size=3, stride=1, padding=1)
        return torch.lerp(greys, changed, abs(degree)).round().to(inpt.dtype)


class GridMask(v2.Transform):  # type: ignore[misc]
    """Erases a grid of squares (Chen et al. 2020), so that no single part of a drawing decides alone.

    The squares' side is `hidden` of the grid's period, which is a random share of the picture's shorter side.
    """

    periods, hidden = (0.2, 0.5), 0.5

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Period as a share of the shorter side, and where the grid begins, as shares of a period."""
        period, down, right = torch.rand(3).tolist()
        smallest, largest = self.periods
        return {"period": smallest + period * (largest - smallest), "down": down, "right": right}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """uint8 (1, h, w) to the same."""
        height, width = inpt.shape[-2:]
        period = max(2, math.floor(params["period"] * min(height, width)))

        def hidden(length: int, share: float) -> Tensor:
            inside: Tensor = (torch.arange(length) + int(share * period)) % period < self.hidden * period
            return inside

        squares = hidden(height, params["down"])[:, None] & hidden(width, params["right"])[None, :]
        masked: Tensor = inpt.masked_fill(squares, WHITE)
        return masked
