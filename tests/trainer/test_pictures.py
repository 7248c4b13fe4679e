"""The pictures of an evaluation, looked at pixel by pixel."""

import io

import numpy as np
from PIL import Image

from linework_trainer.evaluation.pictures import CELL, FRAME, GAP, WRONG, Shown, contact_sheet

STEP = CELL + 2 * FRAME + GAP


def frame_of(sheet: Image.Image, row: int, place: int) -> set[tuple[int, ...]]:
    """The colours of a picture's frame; the query stands two gaps apart from what was found."""
    left, top = GAP + place * STEP + (2 * GAP if place else 0), GAP + row * STEP
    cell = np.asarray(sheet.crop((left, top, left + STEP - GAP, top + STEP - GAP)))
    edge = np.concatenate([cell[:FRAME].reshape(-1, 3), cell[:, :FRAME].reshape(-1, 3), cell[-FRAME:].reshape(-1, 3)])
    return {tuple(map(int, colour)) for colour in np.unique(edge, axis=0)}


def test_what_is_right_has_a_black_frame_what_is_wrong_a_red_one_and_the_query_none() -> None:
    grey = Image.new("L", (200, 100), 128)
    rows = [
        [Shown(grey), Shown(grey, right=True), Shown(grey, right=False)],
        [Shown("a lamp"), Shown(grey, right=False)],
    ]
    sheet = Image.open(io.BytesIO(contact_sheet(rows)))
    assert [frame_of(sheet, 0, place) for place in range(3)] == [{(255, 255, 255)}, {(0, 0, 0)}, {WRONG}]
    assert [frame_of(sheet, 1, place) for place in range(2)] == [{(255, 255, 255)}, {WRONG}]
