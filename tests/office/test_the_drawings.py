"""Hidden-line views: what is drawn, and what is not."""

import io

import numpy as np
import pytest
from manifold3d import Manifold
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from linework_office import plan, tiff
from linework_office.dice import Dice
from linework_office.drawing import BOTTOM, FRONT, LEFT, REAR, RIGHT, TOP, Pen, View, ink, project
from linework_office.outline import shape_of
from linework_office.sheets import Sheet
from linework_office.solids import FAMILIES
from linework_office.solids.shapes import ball, block, drum

CORNER = View(30, 25)
NEAR = View(30, 25, 3.0)
ALL_SIDES = [FRONT, RIGHT, REAR, LEFT, TOP, BOTTOM, CORNER, NEAR]
Page = NDArray[np.bool_]


def drawn(solid: Manifold, view: View, around: Manifold | None = None, scale: float = 4.0) -> Page:
    return ink(project(shape_of(solid, around), view), scale, Pen())


def white_regions(page: Page) -> int:
    """How many separate white areas the lines leave, the surroundings included."""
    return int(ndimage.label(~page)[1])


@pytest.mark.parametrize("view", [FRONT, RIGHT, REAR, LEFT, TOP, BOTTOM])
def test_a_box_seen_straight_on_is_one_closed_outline(view: View) -> None:
    assert white_regions(drawn(block(60, 40, 80), view)) == 2


@pytest.mark.parametrize("view", [CORNER, NEAR])
def test_a_box_seen_from_a_corner_shows_three_faces(view: View) -> None:
    assert white_regions(drawn(block(60, 40, 80), view)) == 4


@pytest.mark.parametrize("view", ALL_SIDES)
def test_a_ball_is_one_circle_without_a_trace_of_its_facets(view: View) -> None:
    assert white_regions(drawn(ball(40), view)) == 2


def test_a_standing_cylinder_shows_its_lid_and_its_side() -> None:
    assert white_regions(drawn(drum(30, 80), NEAR)) == 3


def test_what_stands_behind_is_not_drawn() -> None:
    screen = block(100, 4, 100)
    behind = drum(20, 60).translate([0, 50, 20]) + block(10, 60, 10).translate([0, 30, 40])
    np.testing.assert_array_equal(drawn(screen + behind, FRONT), drawn(screen, FRONT))
    assert drawn(screen + behind, REAR).sum() > drawn(screen, REAR).sum()


def test_what_stands_before_hides_what_it_covers() -> None:
    small = block(30, 10, 30).translate([0, -50, 35])
    assert white_regions(drawn(block(100, 4, 100) + small, FRONT)) == 3


def test_what_is_not_claimed_is_drawn_in_broken_lines() -> None:
    box = block(60, 40, 80)
    lid = block(60, 40, 20).translate([0, 0, 81])
    dashed, solid = drawn(box, FRONT, around=lid), drawn(box + lid, FRONT)
    assert white_regions(dashed) == 2  # the box is closed, the lid is not
    assert dashed.sum() < solid.sum()


def test_lines_have_the_width_of_the_pen() -> None:
    page = ink(project(shape_of(block(60, 40, 80)), FRONT), 4.0, Pen(line=5, contour=5))
    across = page[page.shape[0] // 2]
    assert across.sum() == 2 * 5


def test_a_view_from_the_right_looks_at_the_right_side() -> None:
    knob = block(10, 10, 10).translate([35, 0, 60])  # to the right, high
    page = drawn(block(60, 40, 80) + knob, FRONT)
    outline = [np.flatnonzero(row).max() for row in page if row.any()]
    assert max(outline[: len(outline) // 2]) > max(outline[len(outline) // 2 :])
    assert white_regions(drawn(block(60, 40, 80) + knob, RIGHT)) == 3
    assert white_regions(drawn(block(60, 40, 80) + knob, LEFT)) == 2


def test_an_empty_solid_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        shape_of(Manifold())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_makes_solids_that_can_be_drawn(family: str) -> None:
    for seed in (3, 4):
        model = FAMILIES[family].make(Dice(seed))
        page = ink(project(shape_of(model.claimed, model.unclaimed), NEAR), 300 / _longest(model.claimed), Pen())
        assert white_regions(page[::2, ::2]) >= 2


def _longest(solid: Manifold) -> float:
    box = np.reshape(solid.bounding_box(), (2, 3))
    return float(np.ptp(box, axis=0).max())


@pytest.mark.parametrize("family", ["bottle", "chair", "wheel"])
def test_a_variant_looks_like_its_parent_but_is_not_equal(family: str) -> None:
    make = FAMILIES[family].make
    parent, child, stranger = (make(d).claimed.volume() for d in (Dice(1), Dice(1, variant=1), Dice(2)))
    assert 0 < abs(child - parent) / parent < 0.5
    assert stranger != parent


def test_a_tiff_gives_back_the_ink() -> None:
    rng = np.random.default_rng(0)
    page = rng.random((70, 93)) < 0.1
    data = tiff(Sheet(1, page, (), False))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), ~page)


def test_every_kind_of_object_has_a_real_locarno_class_and_a_title() -> None:
    for family in FAMILIES.values():
        assert 1 <= int(family.locarno[:2]) <= 32
        assert family.titles
        assert len(family.national) == 6
    assert len({family.locarno[:2] for family in FAMILIES.values()}) >= 12
    assert plan(60)
