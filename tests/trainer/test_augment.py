"""Augmented drawings: the same seed draws the same, and the paper stays white."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from linework_core.recipes import Augmentation
from linework_trainer.augment import Augment

NOTHING = {
    "horizontal_flip": 0,
    "vertical_flip": 0,
    "line_width": 0,
    "rotation": 0,
    "smallest_crop": 1,
    "crop_stretch": 1,
    "erasing": 0,
    "grid_mask": 0,
}


def drawing(size: int = 96) -> NDArray[np.uint8]:
    """A box with a mark in its upper left quarter."""
    greys = np.full((size, size), 255, np.uint8)
    low, high, half = size // 6, size - size // 6, size // 2
    greys[low:high, [low, low + 1, high - 2, high - 1]] = 0
    greys[[low, low + 1, high - 2, high - 1], low:high] = 0
    greys[half - 12 : half - 6, half - 12 : half - 6] = 0
    return greys


def only(size: int = 96, **settings: float) -> Augment:
    return Augment(Augmentation(**{**NOTHING, **settings}), size, size)


def ink(greys: NDArray[np.uint8]) -> float:
    return float((255 - greys.astype(float)).sum())


def test_the_same_seed_draws_the_same_variant_in_any_order() -> None:
    everything = Augment(Augmentation(vertical_flip=0.5, erasing=0.5, grid_mask=0.5), 64, 64)
    seeds = [(7, epoch, item) for epoch in range(2) for item in range(10)]
    forth = [everything(drawing(), seed) for seed in seeds]
    again = Augment(everything.settings, 64, 64)
    back = [again(drawing(), seed) for seed in reversed(seeds)]
    assert all(np.array_equal(one, other) for one, other in zip(forth, reversed(back), strict=True))
    assert len({one.tobytes() for one in forth}) == len(seeds)


def test_augmenting_leaves_the_random_numbers_of_training_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Augment(Augmentation(), 64, 64)(drawing(), (1, 2))
    assert torch.equal(torch.rand(3), expected)


def test_white_paper_stays_white() -> None:
    everything = Augment(Augmentation(vertical_flip=0.5, rotation=20, erasing=0.5, grid_mask=0.5), 64, 64)
    paper = np.full((96, 96), 255, np.uint8)
    assert all(everything(paper, (seed,)).min() == 255 for seed in range(40))


def test_with_nothing_switched_on_a_drawing_stays_as_it_is() -> None:
    assert np.array_equal(only()(drawing(), (1,)), drawing())


def test_the_drawing_given_is_not_written_to() -> None:
    before = drawing()
    Augment(Augmentation(erasing=1, grid_mask=1), 96, 96)(before, (1,))
    assert np.array_equal(before, drawing())


def test_flips_mirror() -> None:
    assert np.array_equal(only(horizontal_flip=1)(drawing(), (1,)), drawing()[:, ::-1])
    assert np.array_equal(only(vertical_flip=1)(drawing(), (1,)), drawing()[::-1])


def test_line_width_makes_lines_thicker_and_thinner_and_never_makes_them_vanish() -> None:
    shares = [ink(only(line_width=1)(drawing(), (seed,))) / ink(drawing()) for seed in range(60)]
    assert min(shares) < 0.7
    assert max(shares) > 1.3
    assert min(shares) > 0.3
    assert max(shares) < 2.0


def test_a_small_rotation_keeps_the_ink() -> None:
    turned = [only(rotation=10)(drawing(), (seed,)) for seed in range(10)]
    assert all(ink(one) == pytest.approx(ink(drawing()), rel=0.05) for one in turned)
    assert not any(np.array_equal(one, drawing()) for one in turned)


def test_a_crop_keeps_at_least_its_share_and_fills_the_picture() -> None:
    crops = [only(size=48, smallest_crop=0.5)(drawing(), (seed,)) for seed in range(20)]
    assert all(one.shape == (48, 48) for one in crops)
    whole = ink(only(size=48)(drawing(), (0,)))
    assert len({round(ink(one) / whole, 2) for one in crops}) > 5


def test_a_picture_that_is_no_square_keeps_its_proportions() -> None:
    wide = np.tile(drawing(), (1, 2))
    same = Augment(Augmentation(**NOTHING), 96, 192)(wide, (1,))
    assert np.array_equal(same, wide)


def test_erasing_and_the_grid_leave_part_of_the_drawing() -> None:
    for step in ("erasing", "grid_mask"):
        left = [ink(only(**{step: 1})(drawing(), (seed,))) / ink(drawing()) for seed in range(40)]
        assert 0.2 < min(left) < 0.95, step
        assert max(left) <= 1, step


def test_the_grid_hides_a_quarter_of_the_picture() -> None:
    black = np.zeros((120, 120), np.uint8)
    hidden = [float((only(size=120, grid_mask=1)(black, (seed,)) == 255).mean()) for seed in range(40)]
    assert np.mean(hidden) == pytest.approx(0.25, abs=0.05)


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        Augmentation(flips=0.5)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Augmentation(erasing=1.5)
