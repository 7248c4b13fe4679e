"""The Locarno Classification's headings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linework_core import locarno


@pytest.mark.parametrize("written", ["14-02", "1402", " 14-02 ", "14.02", "14 - 2"])
def test_a_subclass_is_found_however_it_is_written(written: str) -> None:
    heading = locarno.lookup(written)
    assert heading is not None
    assert heading.code == "14-02"
    assert heading.main == "Recording, telecommunication or data processing equipment"
    assert heading.subclass == "Data processing equipment and its peripheral apparatus and devices"


def test_a_class_alone_has_no_subclass() -> None:
    assert locarno.lookup("26") == locarno.Heading("26", "Lighting apparatus", None)


def test_a_subclass_that_the_list_lacks_is_known_by_its_class() -> None:
    assert locarno.lookup("26-55") == locarno.Heading("26-55", "Lighting apparatus", None)


@pytest.mark.parametrize("other", [None, "", "D14", "D14/341", "Baseplate", "33-01", "0", "14-02-03", "140", "١٤-٠٢"])
def test_classes_of_other_sources_have_no_heading(other: str | None) -> None:
    assert locarno.lookup(other) is None


def test_the_list_holds_all_32_classes_each_with_its_subclasses_in_order() -> None:
    codes = list(locarno.headings())
    assert codes == sorted(codes)
    classes = [code for code in codes if len(code) == 2]
    assert classes == [f"{number:02}" for number in range(1, 33)]
    assert all(any(code.startswith(f"{main}-") for code in codes) for main in classes)
    assert all(re.fullmatch(r"\d\d(-\d\d)?", code) for code in codes)
    assert len(codes) > 230


def test_headings_are_text_for_a_sentence() -> None:
    assert all(heading == heading.strip() and "\t" not in heading for heading in locarno.headings().values())


def test_every_class_but_the_last_two_has_a_place_for_the_rest() -> None:
    rest = [code[:2] for code, heading in locarno.headings().items() if heading == locarno.MISCELLANEOUS]
    assert rest == [f"{number:02}" for number in range(1, 31)]


@given(st.text())
def test_any_text_may_be_asked_for(text: str) -> None:
    heading = locarno.lookup(text)
    assert heading is None or heading.main
