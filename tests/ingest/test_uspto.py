import datetime as dt
from pathlib import Path

import pytest

from linework_api.ingest.formats import read
from linework_api.ingest.formats.grant import cited_number, locarno_class, reduced_date, unpadded
from linework_api.ingest.sources import FileSource
from linework_core.records import FamilyLink, PatentRecord, Rejected
from tests.ingest.building import (
    CAPTIONS,
    found_in,
    grant,
    only_record,
    package,
    reasons_in,
    tiff,
    write,
    zipped,
)


def one(folder: Path, **values: object) -> PatentRecord:
    return only_record(write(folder, {"package.bin": zipped(package(**values))}) / "package.bin")  # type: ignore[arg-type]


# ---- facts -----------------------------------------------------------------------------------------------


def test_the_facts_of_a_design_are_read(tmp_path: Path) -> None:
    record = one(tmp_path, title="Lamp with <i>ornate</i> base")
    assert (record.source, record.id, record.office, record.number) == ("uspto", "USD0907292", "US", "D907292")
    assert (record.kind, record.title) == ("S1", "Lamp with ornate base")
    assert (record.granted, record.filed) == (dt.date(2021, 1, 5), dt.date(2018, 12, 10))
    assert (record.locarno, record.locarno_edition, record.application) == ("26-05", "13", "US29672791")
    assert record.claim == "The ornamental design for a lamp, as shown."
    assert (record.extra["stated_sheets"], record.extra["stated_figures"]) == (3, 3)


@pytest.mark.parametrize("version", ["v4.0 2004-12-02", "v4.1 2005-08-25", "v4.2 2006-08-23", "v4.4 2013-05-16"])
def test_earlier_versions_name_citations_otherwise(tmp_path: Path, version: str) -> None:
    head = """<references-cited><citation><patcit num="00001"><document-id><country>US</country>
        <doc-number>D428532</doc-number><kind>S</kind><name>Smith</name><date>19861100</date></document-id></patcit>
        <category>cited by other</category></citation></references-cited>"""
    record = one(tmp_path, version=version, head=head)
    assert [(c.number, c.category) for c in record.citations] == [("USD428532", "cited by other")]


def test_locarno_comes_from_its_own_element_only(tmp_path: Path) -> None:
    elsewhere = """<us-field-of-classification-search><classification-national><country>US</country>
        <main-classification>2803</main-classification></classification-national></us-field-of-classification-search>"""
    assert one(tmp_path, locarno="", head=elsewhere).locarno is None


def test_further_locarno_classes_are_kept_and_odd_ones_told(tmp_path: Path) -> None:
    locarno = "<edition>13</edition><main-classification>1402</main-classification>"
    record = one(tmp_path, locarno=locarno + "<further-classification>1403</further-classification>")
    assert (record.locarno, record.locarno_further) == ("14-02", ("14-03",))
    record = one(tmp_path, locarno="<edition>13</edition><main-classification>D14-138</main-classification>")
    assert (record.locarno, record.extra["unread_locarno"]) == (None, "D14-138")


@pytest.mark.parametrize(
    ("printed", "expected"),
    [("2803", "28-03"), ("28-03", "28-03"), ("2-3", "02-03"), ("28 03", "28-03"), ("303", "03-03"), ("Brick", None)],
)
def test_locarno_classes_have_one_form(printed: str, expected: str | None) -> None:
    assert locarno_class(printed) == expected


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("19861103", "1986-11-03"),
        ("19861100", "1986-11"),
        ("19860000", "1986"),
        ("19861131", "1986-11"),
        ("19861999", "1986"),
        ("00000000", None),
        ("Nov. 1986", None),
        (None, None),
    ],
)
def test_a_date_keeps_the_precision_of_its_source(printed: str | None, expected: str | None) -> None:
    assert reduced_date(printed) == expected


@pytest.mark.parametrize(
    ("office", "number", "kind", "expected"),
    [
        ("US", "D428532", "S", "USD428532"),
        ("US", "D0428532", "S1", "USD428532"),
        ("US", "2006/0236442", "A1", "US20060236442A1"),
        ("US", "5819225", "A", "US5819225A"),
        ("US", "RE039123", "E", "USRE39123E"),
        ("CN", "304525790", "S", "CN304525790S"),
        ("EM", "001234567-0001", None, "EM001234567-0001"),
        ("WO", "WO 2012/123456", "A1", "WO2012123456A1"),
    ],
)
def test_cited_numbers_are_normalised(office: str, number: str, kind: str | None, expected: str) -> None:
    assert cited_number(office, number, kind) == expected


def test_padding_is_taken_off() -> None:
    assert [unpadded(n) for n in ("D0907292", "D907292", "05819225", "RE039123")] == [
        "D907292", "D907292", "5819225", "RE39123",
    ]  # fmt: skip


def test_citations_keep_every_field_and_literature_is_told_apart(tmp_path: Path) -> None:
    head = """<us-references-cited>
        <us-citation><patcit num="00001"><document-id><country>US</country><doc-number>D402788</doc-number>
        <kind>S</kind><name>Blankenship, Jr.</name><date>19981200</date></document-id></patcit>
        <category>cited by examiner</category></us-citation>
        <us-citation><nplcit num="00002"><othercit>Catalogue, 1985, p. 5.</othercit></nplcit>
        <category>cited by applicant</category></us-citation></us-references-cited>"""
    record = one(tmp_path, head=head)
    (citation,) = record.citations
    assert (citation.raw_number, citation.office, citation.kind) == ("D402788", "US", "S")
    assert (citation.date, citation.name) == ("1998-12", "Blankenship, Jr.")
    assert citation.category == "cited by examiner"
    assert record.extra["literature"] == ["Catalogue, 1985, p. 5."]


# ---- family and priority ---------------------------------------------------------------------------------

CLAIM = """<priority-claims><priority-claim sequence="01" kind="national"><country>JP</country>
    <doc-number>2019-008057</doc-number><date>20180412</date></priority-claim></priority-claims>"""
HAGUE = """<hague-agreement-data><international-filing-date><date>20180301</date></international-filing-date>
    <international-registration-publication-date><date>20200410</date></international-registration-publication-date>
    <international-registration-number>DM/205825</international-registration-number>
    <international-registration-date><date>20180302</date></international-registration-date></hague-agreement-data>"""
RELATED = """<us-related-documents><division><relation>
    <parent-doc><document-id><country>US</country><doc-number>29/657,941</doc-number><date>20160726</date></document-id>
    <parent-grant-document><document-id><country>US</country><doc-number>D0903143</doc-number><date>20201124</date>
    </document-id></parent-grant-document></parent-doc>
    <child-doc><document-id><country>US</country><doc-number>29672791</doc-number></document-id></child-doc>
    </relation></division>
    <us-provisional-application><document-id><country>US</country><doc-number>62123456</doc-number>
    <date>20170101</date></document-id></us-provisional-application>
    <substitution><relation><parent-doc><document-id><country>US</country><doc-number>29000001</doc-number>
    <date>20100101</date></document-id></parent-doc><child-doc><document-id><country>US</country>
    <doc-number>29672791</doc-number></document-id></child-doc></relation></substitution></us-related-documents>"""


def test_without_a_claim_the_filing_date_is_the_priority(tmp_path: Path) -> None:
    assert one(tmp_path).priority == dt.date(2018, 12, 10)


def test_the_earliest_claim_is_the_priority(tmp_path: Path) -> None:
    assert one(tmp_path, head=CLAIM).priority == dt.date(2018, 4, 12)
    assert one(tmp_path, head=CLAIM + HAGUE).priority == dt.date(2018, 3, 1)
    assert one(tmp_path, head=CLAIM + HAGUE + RELATED).priority == dt.date(2016, 7, 26)


def test_a_claim_later_than_the_filing_changes_nothing(tmp_path: Path) -> None:
    assert one(tmp_path, head=CLAIM.replace("20180412", "20190101")).priority == dt.date(2018, 12, 10)


def test_all_dates_and_links_of_a_family_are_kept(tmp_path: Path) -> None:
    record = one(tmp_path, head=CLAIM + HAGUE + RELATED)
    assert record.hague == {
        "number": "DM/205825", "filed": "2018-03-01", "registered": "2018-03-02", "published": "2020-04-10",
    }  # fmt: skip
    assert record.family == (
        FamilyLink("priority", "JP", "2019-008057", "2018-04-12"),
        FamilyLink("hague", "WO", "DM/205825", "2018-03-02"),
        FamilyLink("division", "US", "29657941", "2016-07-26"),
        FamilyLink("division-grant", "US", "D903143", "2020-11-24"),
        FamilyLink("division-child", "US", "29672791", None),
        FamilyLink("provisional-application", "US", "62123456", "2017-01-01"),
        FamilyLink("substitution", "US", "29000001", "2010-01-01"),
        FamilyLink("substitution-child", "US", "29672791", None),
    )
    assert {"US29672791", "US29657941", "JP2019-008057", "WODM/205825"} <= set(record.family_keys)


# ---- figures ---------------------------------------------------------------------------------------------


def figures_of(folder: Path, *captions: str, **values: object) -> list[tuple[str, str | None, str | None]]:
    return [(f.number, f.view, f.object) for f in one(folder, captions=captions, **values).figures]


def test_thereof_means_the_object_of_the_first_figure(tmp_path: Path) -> None:
    assert figures_of(tmp_path, *CAPTIONS) == [
        ("1", "perspective view", "lamp"), ("2", "front view", "lamp"), ("3", "rear view", "lamp"),
    ]  # fmt: skip


def test_without_any_object_the_title_is_it(tmp_path: Path) -> None:
    assert figures_of(tmp_path, "FIG. 1 is a front view thereof.", title="Stage light") == [
        ("1", "front view", "Stage light")
    ]


def test_markup_around_labels_does_not_matter(tmp_path: Path) -> None:
    caption = '<figref idref="DRAWINGS">FIG. 3</figref> is a top view of <figref>FIG. 1</figref>; and,'
    (figure,) = one(tmp_path, captions=[caption]).figures
    assert (figure.number, figure.label, figure.caption) == ("3", "FIG. 3", "FIG. 3 is a top view of FIG. 1")


def test_hague_figures_take_the_name_of_their_design(tmp_path: Path) -> None:
    captions = ("1. Belt buckle", "1.1 : Perspective", "1.2 : Left", "2. Strap", "2.1 : Front")
    assert figures_of(tmp_path, *captions) == [
        ("1.1", "Perspective", "Belt buckle"), ("1.2", "Left", "Belt buckle"), ("2.1", "Front", "Strap"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "disclaimer",
    [
        "The broken lines in FIGS. 1-3 form no part of the claimed design.",
        "In FIG. 2, the dash-dot lines show the bounds; reproduction 1.1 is a front view.",
        "The file of this patent contains at least one drawing executed in color.",
        "FIG. 1 and the like.",
        "1.4 mm is the thickness.",
    ],
)
def test_a_disclaimer_that_mentions_figures_is_no_figure(tmp_path: Path, disclaimer: str) -> None:
    assert [number for number, _, _ in figures_of(tmp_path, *CAPTIONS, disclaimer)] == ["1", "2", "3"]


def test_ranges_and_lists_give_every_figure(tmp_path: Path) -> None:
    assert figures_of(tmp_path, "FIGS. 1 and 2 are side views of a bolt", "FIGS. 3-5 are top views thereof") == [
        *[(n, "side views", "bolt") for n in "12"], *[(n, "top views", "bolt") for n in "345"],
    ]  # fmt: skip


def test_a_sentence_about_one_figure_counts_more_than_one_about_many(tmp_path: Path) -> None:
    captions = ("FIGS. 1-2 show features in phantom lines.", "FIG. 2 is a top view of a cup", "FIG. 2 is a bottom view")
    record = one(tmp_path, captions=captions)
    assert [(f.number, f.view) for f in record.figures] == [("1", None), ("2", "top view")]
    assert record.extra["anomalies"] == {"repeated_figures": 2}


def test_one_paragraph_may_describe_several_figures(tmp_path: Path) -> None:
    paragraph = "FIG. 1 is a top view of a cup; FIG. 2 is a side view thereof; and FIG. 3 is a bottom view thereof."
    assert figures_of(tmp_path, paragraph) == [
        ("1", "top view", "cup"), ("2", "side view", "cup"), ("3", "bottom view", "cup"),
    ]  # fmt: skip


def test_the_only_figure_has_no_number(tmp_path: Path) -> None:
    assert figures_of(tmp_path, "The FIGURE is a front view of a screen.") == [("1", "front view", "screen")]


# ---- sheets and drawings ---------------------------------------------------------------------------------


def test_the_front_page_is_kept_and_is_no_drawing(tmp_path: Path) -> None:
    record = one(tmp_path)
    assert [(s.number, s.role) for s in record.sheets] == [
        (0, "front_page"), (1, "drawings"), (2, "drawings"), (3, "drawings"),
    ]  # fmt: skip
    assert record.sheets[3].id == "USD0907292-20210105-D00003"
    assert [(d.sheet, d.number, d.figure) for d in record.drawings] == [(1, 1, "1"), (2, 2, "2"), (3, 3, "3")]


def test_sheets_give_the_original_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.zip": zipped(package())}) / "a.zip"
    for record in read(FileSource(path)):
        assert isinstance(record, PatentRecord)
        assert [sheet.read() for sheet in record.sheets] == [tiff(n) for n in range(4)]


def test_when_sheets_and_figures_differ_nobody_guesses(tmp_path: Path) -> None:
    record = one(tmp_path, captions=[*CAPTIONS, "FIG. 4 is a top view thereof."])
    assert [d.figure for d in record.drawings] == [None, None, None]


def test_a_missing_image_is_set_aside_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    files = package()
    del files["USD0907292-20210105/USD0907292-20210105-D00002.TIF"]
    record, rejected = found_in(write(tmp_path, {"a.zip": zipped(files)}) / "a.zip")
    assert isinstance(record, PatentRecord)
    assert [(d.sheet, d.number, d.figure) for d in record.drawings] == [(1, 1, "1"), (3, 3, "3")]
    assert record.extra["anomalies"] == {"missing_images": 1}
    assert isinstance(rejected, Rejected)
    assert (rejected.name, rejected.reason) == ("a.zip", "missing-image")
    assert "USD0907292-20210105-D00002.TIF" in rejected.detail


def test_a_sheet_that_the_xml_forgot_is_taken_by_its_name(tmp_path: Path) -> None:
    stem = "USD0907292-20210105"
    record = one(tmp_path, images=[f"{stem}-D00000.TIF", f"{stem}-D00001.TIF", f"{stem}-D00003.TIF"])
    assert [sheet.number for sheet in record.sheets] == [0, 1, 2, 3]
    assert record.extra["anomalies"] == {"unnamed_sheets": 1}


def test_names_of_images_match_whatever_their_case(tmp_path: Path) -> None:
    files = {name.replace(".TIF", ".tif"): data for name, data in package().items()}
    assert len(only_record(write(tmp_path, {"a.zip": zipped(files)}) / "a.zip").sheets) == 4


def test_an_image_named_outside_the_package_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"secret.TIF": tiff()})
    files = {"p/a.XML": grant(images=["../secret.TIF", "/etc/passwd"]), "p/x.TIF": tiff()}
    path = write(tmp_path / "in", {"a.zip": zipped(files)}) / "a.zip"
    assert only_record(path).sheets == ()
    assert reasons_in(path) == ["missing-image"]
