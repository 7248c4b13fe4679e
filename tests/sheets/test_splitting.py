import numpy as np
import pytest
from PIL import Image

from linework_api.sheets.layout import Layout, cut, split
from tests.sheets.drawn import composite_pages, grey, page, write

TWO = [(200, 100, 1500, 900), (200, 1300, 1500, 2100)]
BELOW = [("FIG. 1", 700, 960), ("FIG. 2", 700, 2160)]


def figures_of(layout: Layout) -> list[str | None]:
    return [part.figure for part in layout.parts]


def ink(image: Image.Image) -> np.ndarray:
    return np.asarray(image) < 128


def test_each_drawing_of_a_composite_sheet_is_found_with_its_figure() -> None:
    for drawn, numbers in composite_pages():
        layout = split(grey(drawn), numbers)
        if layout.reason is not None:  # it may stay whole, and never comes apart wrongly
            continue
        assert sorted(figures_of(layout), key=str) == sorted(numbers[index] for index, _ in drawn.figures)
        truth = {numbers[index]: box for index, box in drawn.figures}
        for part in layout.parts:
            left, top, right, bottom = truth[part.figure or ""]
            x, y, width, height = part.box
            assert np.abs(np.array([x - left, y - top, x + width - right, y + height - bottom])).max() < 30


def test_most_composite_sheets_of_the_sample_office_are_split() -> None:
    split_up = [split(grey(drawn), numbers).reason is None for drawn, numbers in composite_pages()]
    assert sum(split_up) > 0.8 * len(split_up)


def test_a_cut_drawing_has_its_own_ink_and_nothing_of_its_label_or_its_neighbours() -> None:
    diagonal = [(100, 100, 1000, 1300), (700, 1400, 1700, 2300)]  # each reaches beside the other's label
    image = page([("FIG. 1", 300, 1330), ("FIG. 2", 1100, 2330)], diagonal)
    alone = [page([], [box]) for box in diagonal]
    layout = split(image, ("1", "2"))
    assert figures_of(layout) == ["1", "2"]
    for part, drawing in zip(layout.parts, alone, strict=True):
        left, top, width, height = part.box
        expected = ink(drawing.crop((left, top, left + width, top + height)))
        assert np.array_equal(ink(cut(image, layout, part)), expected)
        assert expected.sum() == ink(drawing).sum()


def test_a_sheet_with_one_label_is_one_drawing_cut_to_its_ink() -> None:
    layout = split(page([("Fig. 3", 700, 2000)], [(200, 200, 800, 900), (900, 300, 1500, 1000)]), ("1", "2", "3"))
    assert figures_of(layout) == ["3"]
    left, top, width, height = layout.parts[0].box
    assert (left, top) == pytest.approx((200, 200), abs=20)
    assert (left + width, top + height) == pytest.approx((1500, 1000), abs=20)


@pytest.mark.parametrize("turn", [90, 270])
def test_a_sheet_that_lies_on_its_side_is_turned_upright(turn: int) -> None:
    upright = page(BELOW, TWO)
    lying = upright.rotate(-turn, expand=True)
    layout, expected = split(lying, ("1", "2")), split(upright, ("1", "2"))
    assert layout.turn * 90 == 360 - turn
    pictures = {part.figure: cut(lying, layout, part) for part in layout.parts}
    assert set(pictures) == {"1", "2"}
    for part in expected.parts:
        standing, turned = ink(cut(upright, expected, part)), ink(pictures[part.figure])
        assert np.abs(np.array(standing.shape) - turned.shape).max() < 20
        assert turned.sum() == standing.sum()


def test_a_sheet_whose_drawings_touch_stays_whole_and_says_why() -> None:
    layout = split(page(BELOW, [(200, 100, 1500, 900), (1400, 500, 1500, 2100), (200, 1300, 1500, 2100)]), ("1", "2"))
    assert layout.parts == ()
    assert layout.reason == "not-separable"


def test_labels_that_could_belong_to_either_drawing_split_nothing() -> None:
    between = [("FIG. 1", 300, 1060), ("FIG. 2", 1100, 1060)]  # both between the two drawings
    assert split(page(between, TWO), ("1", "2")).reason == "not-separable"


def test_a_sheet_without_labels_stays_as_it_is() -> None:
    image = page([], TWO)
    layout = split(image, ("1", "2"))
    assert (layout.parts, layout.whole, layout.reason) == ((), None, "no-label")


def test_a_number_that_the_text_does_not_name_is_not_read() -> None:
    layout = split(page(BELOW, TWO), ("3", "4"))
    assert figures_of(layout) == [None, None]


def test_a_smaller_reference_to_a_figure_is_no_label() -> None:
    image = page(BELOW, TWO)
    write(image, "FIG. 2", 1550, 500, 40)
    layout = split(image, ("1", "2"))
    assert figures_of(layout) == ["1", "2"]
    assert len(layout.labels) == 2


def test_two_equal_labels_of_one_size_split_nothing() -> None:
    layout = split(page([("FIG. 2", 700, 960), ("FIG. 2", 700, 2160)], TWO), ("1", "2"))
    assert (layout.parts, layout.reason) == ((), "label-repeated")


@pytest.mark.parametrize("letters", [36, 60, 90])
@pytest.mark.parametrize(
    ("text", "number"),
    [("FIG. 10", "10"), ("Fig. 7", "7"), ("FIG. 3A", "3A"), ("Figure 4", "4"), ("FIG. 12B", "12B")],
)
def test_labels_of_all_kinds_and_sizes_are_read(text: str, number: str, letters: int) -> None:
    numbers = ("1", "3", "3A", "3B", "4", "7", "8", "10", "12B", "13B")
    assert figures_of(split(page([(text, 700, 2000)], TWO[:1], letters), numbers)) == [number]


@pytest.mark.parametrize(("text", "number"), [("1.4", "1.4"), ("1.10", "1.10"), ("2.1", "2.1")])
def test_numbers_of_hague_designs_are_read_above_their_drawing(text: str, number: str) -> None:
    numbers = ("1.1", "1.3", "1.4", "1.10", "2.1", "2.4")
    assert figures_of(split(page([(text, 60, 60)], [(200, 400, 1500, 2000)]), numbers)) == [number]


def test_an_empty_sheet_and_a_tiny_one_are_left_alone() -> None:
    for size in ((1, 1), (3, 2000), (1800, 2400)):
        assert split(Image.new("L", size, 255), ("1",)).reason == "no-label"
    assert split(Image.new("L", (800, 600), 0), ("1",)).parts == ()
