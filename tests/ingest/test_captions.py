import time

import pytest

from linework_api.ingest.captions import ParsedCaption, parse, split_label, tidy


def numbers(text: str) -> tuple[str, ...]:
    label = split_label(tidy(text))
    return label.numbers if label else ()


@pytest.mark.parametrize(
    ("caption", "view", "thing"),
    [
        ("FIG. 3 is a front elevational view of the light device;", "front elevational view", "light device"),
        ("FIG. 2 is a front view thereof; and,", "front view", None),
        ("FIG. 1 is a perspective view of a shoe showing our new design;", "perspective view", "shoe"),
        ("FIG. 4 is a top plan view of FIG. 1; and,", "top plan view", None),
        ("FIG. 9 is a front view of the second embodiment viewed in FIG. 8.", "front view", None),
        ("FIG. 6 is a top view of the fan and light system of FIG. 1; and,", "top view", "fan and light system"),
        ("FIG. 3A shows a left side elevation of the chair.", "left side elevation", "chair"),
        ("FIG. 5 is an enlarged view of a portion of a pair of mittens;", "enlarged view", "mittens"),
        ("FIG. 1 is a side view illustrating our new design for a bottle", "side view", "bottle"),
        ("FIG. 1 is a front, right-side view of a keyboard;", "front, right-side view", "keyboard"),
        ("FIG. 7 is an alternate embodiment of the dining table shown in color.", None, "dining table"),
        ("FIG. 10 shows where the closeup for FIG. 11 is located", None, None),
    ],
)
def test_a_caption_tells_its_view_and_its_object(caption: str, view: str | None, thing: str | None) -> None:
    parsed = parse(caption)
    assert (parsed.view, parsed.object) == (view, thing)


def test_commas_belong_to_the_view() -> None:
    parsed = parse("Fig. 1 is a front, top, and left side perspective view of a pet treat")
    assert parsed == ParsedCaption("Fig. 1", "1", "front, top, and left side perspective view", "pet treat")


def test_another_and_first_are_not_part_of_the_view() -> None:
    assert parse("FIG. 2 is another perspective view thereof").view == "perspective view"
    assert parse("FIG. 2 is a first side view thereof").view == "side view"


@pytest.mark.parametrize(
    ("caption", "number", "view"),
    [
        ("1.4 : Left", "1.4", "Left"),
        ("1.1: Front perspective", "1.1", "Front perspective"),
        ("1.8 is an enlarged partial perspective view; and", "1.8", "enlarged partial perspective view"),
        ("Reproduction 1.7 is a cross sectional view", "1.7", "cross sectional view"),
    ],
)
def test_hague_captions_are_read(caption: str, number: str, view: str) -> None:
    parsed = parse(caption)
    assert (parsed.number, parsed.view, parsed.object) == (number, view, None)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("The FIGURE is a front view of a screen", ("1",)),
        ("The sole figure of the drawing is a perspective view of a chair", ("1",)),
        ("FIGS. 3 and 4 are side views thereof", ("3", "4")),
        ("FIGS. 1-4 are views of a lamp", ("1", "2", "3", "4")),
        ("FIGS. 1 through 3 show a lamp", ("1", "2", "3")),
        ("FIGS. 1, 2, and 5A-5C are views", ("1", "2", "5A", "5B", "5C")),
        ("FIG. 2(a) is a top view", ("2(a)",)),
        ("FIGS. 1.1 to 1.3 are views", ("1.1", "1.2", "1.3")),
        ("FIGS. 1-9999 are views", ("1", "9999")),
    ],
)
def test_labels_give_every_figure_they_name(caption: str, expected: tuple[str, ...]) -> None:
    assert numbers(caption) == expected


@pytest.mark.parametrize("text", ["1.4 mm thick", "Drawings are in colour", "1. Belt buckle", "", "The broken lines"])
def test_what_is_no_caption_has_no_label(text: str) -> None:
    assert numbers(text) == ()
    assert parse(text) == ParsedCaption(None, None, None, None)


@pytest.mark.parametrize("unit", ["a/", "first ", "; and", "1,", "side ", "embodiment of ", "view of ", "left,", "'"])
@pytest.mark.parametrize("start", ["", "FIG. 1 is a ", "FIG. ", "1.1 : "])
def test_no_text_takes_long_to_parse(unit: str, start: str) -> None:
    began = time.perf_counter()
    parse(start + unit * 100_000 + "!")
    assert time.perf_counter() - began < 1
