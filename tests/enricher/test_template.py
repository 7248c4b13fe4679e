"""Descriptions that are written without a model."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linework_api.ingest.formats import read
from linework_api.ingest.sources import FileSource
from linework_core import locarno
from linework_core.records import PatentRecord
from linework_enricher import check, template
from linework_enricher.facts import Facts
from linework_enricher.naming import a, naming, plain, plural
from linework_enricher.texts import Text
from linework_office.solids import FAMILIES
from tests.enricher.describing import bare, facts


def sentences(told: Facts, count: int = 20) -> list[str]:
    return [text.text for text in template.texts(told, count)]


def accepted(told: Facts, count: int = 20) -> bool:
    return check.texts([text.as_json() for text in template.texts(told, count)], told, count, ["en"]).faults == []


def test_the_most_telling_sentences_come_first() -> None:
    assert sentences(facts())[:5] == [
        "This is a drawing of a desk lamp, shown in a front elevational view.",
        "Front elevational view of a desk lamp.",
        "The desk lamp is seen from the front.",
        "Front view of the design of a desk lamp.",
        "This is a drawing of a desk lamp, classified as lamps, standard lamps, chandeliers.",
    ]


def test_synonyms_are_named() -> None:
    assert "A desk lamp can also be referred to as a desk light." in sentences(facts())
    assert any("desk luminaire" in text.lower() for text in sentences(facts()))


@pytest.mark.parametrize(
    "told",
    [
        bare(),
        bare(title="Lamp"),
        bare(locarno="Baseplate"),
        bare(title="Headphones", view="perspective view"),
        bare(title="Display screen or portion thereof with a graphical user interface", locarno="14-04"),
        bare(title="Footwear", locarno="02-04", locarno_class="Articles of clothing", locarno_subclass="Footwear"),
        facts(object=None, view=None, caption=None, captions=("FIG. 1 is a front view", "FIG. 2 is a rear view")),
    ],
)
def test_twenty_texts_that_pass_the_check_can_always_be_made(told: Facts) -> None:
    assert accepted(told)
    assert len(set(sentences(told))) == 20


def test_every_family_of_the_sample_office_can_be_described() -> None:
    for family in FAMILIES.values():
        heading = locarno.lookup(family.locarno)
        assert heading is not None
        for title in family.titles:
            told = facts(title=title, object=title, locarno_class=heading.main, locarno_subclass=heading.subclass)
            assert accepted(told), title


def test_every_drawing_of_real_patents_can_be_described(real_data: Path) -> None:
    for record in read(FileSource(real_data / "uspto" / "impact30")):
        assert isinstance(record, PatentRecord)
        heading = locarno.lookup(record.locarno)
        assert heading is not None
        for figure in record.figures:
            told = bare(
                title=record.title, object=figure.object, view=figure.view, locarno=heading.code,
                locarno_class=heading.main, locarno_subclass=heading.subclass,
            )  # fmt: skip
            assert accepted(told), (record.id, sentences(told))


def test_a_view_that_is_not_certain_is_not_claimed() -> None:
    told = facts(view=None, captions=("FIG. 1 is a front view of a lamp", "FIG. 2 is a rear view of a lamp"))
    assert sentences(told)[0] == "A drawing of a desk lamp, of which the design has front and rear views."
    assert not any("seen from" in text for text in sentences(told))


def test_a_class_of_another_source_is_named_as_it_is() -> None:
    told = bare(title="Plate 4 x 4", locarno="Baseplate")
    assert "This is a drawing of a plate 4 x 4, classified as 'Baseplate'." in sentences(told)


def test_names_agree_with_their_verbs() -> None:
    told = facts(object="headphones", title="Headphones")
    assert "The headphones are seen from the front." in sentences(told)
    assert "What is protected is how the headphones look, not how they work." in sentences(told)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Display screen or portion thereof with a GUI", "display screen with a GUI"),
        ("LED Lamp", "LED lamp"),
        ("Bottle or the like", "bottle"),
        ("Portion of a shoe upper", "shoe upper"),
        ("A “fan and light mounting system,”", "fan and light mounting system"),
    ],
)
def test_a_title_becomes_a_phrase_within_a_sentence(title: str, name: str) -> None:
    assert plain(title) == name


@pytest.mark.parametrize(
    ("name", "with_article", "several"),
    [
        ("LED lamp", "an LED lamp", "LED lamps"),
        ("eyeglasses", "eyeglasses", "eyeglasses"),
        ("wine glass", "a wine glass", "wine glasses"),
        ("filter for a tank", "a filter for a tank", "filters for a tank"),
        ("footwear", "footwear", "footwear"),
    ],
)
def test_articles_and_plurals_follow_the_head_of_a_name(name: str, with_article: str, several: str) -> None:
    assert (a(name), plural(name)) == (with_article, several)


def test_names_follow_by_rule() -> None:
    named = naming("Filter for water tank")
    assert named.head == "filter"
    assert named.further == "for water tank"
    assert "water tank filter" in named.synonyms
    assert "cloth with surface pattern" in naming("Fabric with surface pattern").synonyms
    assert naming("Stage light").inverted == "light, stage"
    assert naming("Toy car").kinds == ()  # a toy car is no car


def test_what_is_joined_is_not_taken_apart() -> None:
    named = naming("Fan and light mounting system")
    assert (named.kinds, named.inverted) == ((), None)


def test_the_texts_of_a_design_are_completed_by_each_drawings_view() -> None:
    shared = [Text(f"A reading lamp of the {kind} sort.", "en") for kind in ("first", "gooseneck", "clamped", "tall")]
    joined = template.joined(shared, facts(), 8)
    assert joined[0].text == "This is a drawing of a desk lamp, shown in a front elevational view."
    assert [text for text in joined if text in shared] == shared
    assert len(joined) == 8


def test_what_is_asked_of_a_model_leaves_room_for_the_views() -> None:
    assert [template.to_ask_for(count) for count in (1, 5, 20, 40)] == [1, 4, 16, 36]


@settings(max_examples=50, deadline=None)
@given(st.none() | st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_any_facts_give_twenty_clean_texts(
    title: str | None, shown: str | None, view: str | None, other: str | None
) -> None:
    texts = sentences(bare(title=title, object=shown, view=view, locarno=other))
    assert len(texts) == 20
    assert all(text == check.clean(text) for text in texts)


def test_no_place_in_a_sentence_is_left_open() -> None:
    assert not any(re.search(r"[{}]", text) for text in sentences(facts(), 60))
