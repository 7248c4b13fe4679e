"""Drawings as model inputs: fitted on white, nothing of them cut off. No torch here; the model's side normalises."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from linework_vision.errors import BadSpec

MAX_SIDE = 1024  # pixels of a model's input; a derivative is half as long
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
WHITE = 255
INK = 224  # a grey below this is ink; above are the resize's overshoot and a scan's dust
INK_MARGIN = 0.03  # of the size, left free around the ink: an outline is seen with the white on both of its sides
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Preprocessing(BaseModel):
    """How a drawing becomes a model's input. A model brings its own values; they are part of its identity.

    `ink-on-white` cuts the empty paper off first: a small drawing on a large sheet then fills the input, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: Side
    width: Side
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Literal["whole-on-white", "ink-on-white"] = "whole-on-white"

    def apply(self, drawing: Image.Image) -> NDArray[np.uint8]:
        """A derivative to greys, uint8 (height, width). Raises BadSpec for an unknown interpolation."""
        filter_ = _FILTERS.get(self.interpolation)
        if filter_ is None:
            raise BadSpec(f"The model asks for '{self.interpolation}' interpolation, which is not known.")
        if self.fit == "ink-on-white":
            inked = crop_to_ink(drawing)
            return np.array(fit_on_white(inked, self.width, self.height, filter_, margin=INK_MARGIN))
        return np.array(fit_on_white(drawing, self.width, self.height, filter_))


def fit_on_white(
    drawing: Image.Image, width: int, height: int, filter_: Image.Resampling, *, margin: float = 0.0
) -> Image.Image:
    """The whole drawing, its proportions kept, centred on white of the given size.

    Models for photographs cut the middle out of their input. In a drawing the outline near the border is
    what matters most, so the models' crop settings are not followed. `margin` is a fraction of the size left
    free on each side.
    """
    scale = min(width * (1 - 2 * margin) / drawing.width, height * (1 - 2 * margin) / drawing.height)
    size = (_centred(drawing.width * scale, width), _centred(drawing.height * scale, height))
    canvas = Image.new("L", (width, height), WHITE)
    canvas.paste(drawing.resize(size, filter_), ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def _centred(length: float, space: int) -> int:
    """The whole number nearest to `length` that leaves equal space on both sides, so that a mirrored drawing
    gives exactly the mirrored input.
    """
    return min(space, max(space % 2 or 2, space - 2 * round((space - length) / 2)))


def crop_to_ink(drawing: Image.Image) -> Image.Image:
    """The part of the drawing that holds its ink; all of it if it is blank."""
    box = drawing.point(lambda grey: 255 if grey < INK else 0).getbbox()
    return drawing.crop(box) if box else drawing
