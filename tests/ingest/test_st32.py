"""Grants of 2001 to 2004: ST.32, as XML and as the SGML it began with."""

import datetime as dt
import re
from pathlib import Path

import pytest
from lxml import etree

from linework_core.records import PatentRecord
from tests.ingest.building import found_in, ids_in, only_record, reasons_in, records_in, tiff, write, zipped

SHEETS = [f"USD0435854-20010102-D{n:05d}.TIF" for n in range(3)]
XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE PATDOC SYSTEM "ST32-US-Grant-025xml.dtd"'
SGML_HEAD = '<!DOCTYPE PATDOC PUBLIC "-//USPTO//DTD ST.32 US PATENT GRANT V2.4 2000-09-20//EN"'


def patdoc(
    number: str = "D0435854",
    *,
    head: str = XML_HEAD,
    kind: str = "S",
    series: str = "29",
    title: str = "Disc cartridge",
    related: str = "",
    priority: str = "",
    declared: str = "",
) -> str:
    """A grant of that generation. `related` and `priority` are its B600 and B300."""
    entities = "".join(f'<!ENTITY {sheet} SYSTEM "{sheet}" NDATA TIF>\n' for sheet in SHEETS)
    images = "".join(f'<EMI ID="EMI-{n}" FILE="{sheet}"/>\n' for n, sheet in enumerate(SHEETS))
    return f"""{head} [
{entities}{declared}]>
<PATDOC DTD="2.4" STATUS="BUILD 20001002">
<SDOBI>
<B100><B110><DNUM><PDAT>{number}</PDAT></DNUM></B110><B130><PDAT>{kind}</PDAT></B130>
<B140><DATE><PDAT>20010102</PDAT></DATE></B140><B190><PDAT>US</PDAT></B190></B100>
<B200><B210><DNUM><PDAT>29116510</PDAT></DNUM></B210><B211US><PDAT>{series}</PDAT></B211US>
<B220><DATE><PDAT>19990106</PDAT></DATE></B220></B200>
{priority}
<B500><B510><B511><PDAT>1402</PDAT></B511><B512><PDAT>1499</PDAT></B512><B516><PDAT>7</PDAT></B516></B510>
<B520><B521><PDAT>D14480</PDAT></B521></B520>
<B540><STEXT><PDAT>{title}</PDAT></STEXT></B540>
<B560><B561><PCIT><DOC><DNUM><PDAT>D. 271298</PDAT></DNUM><DATE><PDAT>19831100</PDAT></DATE></DOC>
<PARTY-US><NAM><SNM><STEXT><PDAT>Fujimoto</PDAT></STEXT></SNM></NAM></PARTY-US></PCIT><CITED-BY-EXAMINER/></B561>
<B561><PCIT><DOC><DNUM><PDAT>96/25012</PDAT></DNUM><DATE><PDAT>19960800</PDAT></DATE><CTRY><PDAT>WO</PDAT></CTRY></DOC>
</PCIT><CITED-BY-OTHER/></B561>
<B562><NCIT><STEXT><PDAT>A catalogue, 1997.</PDAT></STEXT></NCIT><CITED-BY-OTHER/></B562></B560>
<B590><B595><PDAT>2</PDAT></B595><B596><PDAT>2</PDAT></B596><B597US/></B590></B500>
{related}
</SDOBI>
<SDODE><DRWDESC><BTEXT><PARA ID="P-00001" LVL="7"><PTEXT><FGREF ID="DRAWINGS"><PDAT>FIG. 1</PDAT></FGREF><PDAT> is a
front view of a disc cartridge; and, FIG. 2 is a rear view thereof.</PDAT></PTEXT></PARA></BTEXT></DRWDESC></SDODE>
<SDOCL><CL><CLM ID="CLM-00001"><PARA ID="P-00002" LVL="7"><PTEXT><PDAT>The ornamental design for a disc cartridge, as
shown and described.</PDAT></PTEXT></PARA></CLM></CL></SDOCL>
<SDODR ID="DRAWINGS">
{images}</SDODR>
</PATDOC>
"""


def sgml(**values: str) -> str:
    """The same as SGML: empty elements have no slash, characters have names."""
    return patdoc(head=SGML_HEAD, **values).replace("/>", ">")


def read(folder: Path, text: str) -> PatentRecord:
    return only_record(write(folder, {"a.xml": text}) / "a.xml")


def test_the_facts_of_a_grant_are_read(tmp_path: Path) -> None:
    record = read(tmp_path, patdoc())
    assert (record.id, record.number, record.kind, record.title) == ("USD0435854", "D435854", "S", "Disc cartridge")
    assert (record.granted, record.filed) == (dt.date(2001, 1, 2), dt.date(1999, 1, 6))
    assert (record.locarno, record.locarno_further, record.locarno_edition) == ("14-02", ("14-99",), "7")
    assert record.application == "US29116510"
    assert record.claim == "The ornamental design for a disc cartridge, as shown and described."
    assert [(f.number, f.view, f.object) for f in record.figures] == [
        ("1", "front view", "disc cartridge"), ("2", "rear view", "disc cartridge"),
    ]  # fmt: skip
    assert [(c.number, c.date, c.name, c.category) for c in record.citations] == [
        ("USD271298", "1983-11", "Fujimoto", "cited by examiner"), ("WO9625012", "1996-08", None, "cited by other"),
    ]  # fmt: skip
    assert record.extra == {
        "stated_sheets": 2,
        "stated_figures": 2,
        "classification_national": "D14480",
        "literature": ["A catalogue, 1997."],
    }


def test_its_sheets_are_those_of_its_package(tmp_path: Path) -> None:
    images = {f"a/{name}": tiff(n) for n, name in enumerate(SHEETS)}
    path = write(tmp_path, {"a.zip": zipped({**images, "a/USD0435854-20010102.XML": patdoc().encode()})}) / "a.zip"
    record = only_record(path)
    assert [(sheet.name, sheet.role) for sheet in record.sheets] == [
        (SHEETS[0], "front_page"), (SHEETS[1], "drawings"), (SHEETS[2], "drawings"),
    ]  # fmt: skip
    assert [(drawing.sheet, drawing.figure) for drawing in record.drawings] == [(1, "1"), (2, "2")]


def test_family_and_priority_are_read(tmp_path: Path) -> None:
    def parent(code: str, number: str, date: str, patent: str = "") -> str:
        granted = f"<PPUB><DOC><DNUM><PDAT>{patent}</PDAT></DNUM></DOC></PPUB>" if patent else ""
        child = "<CDOC><DOC><DNUM><PDAT>29/116510</PDAT></DNUM></DOC></CDOC>"
        dated = f"<DATE><PDAT>{date}</PDAT></DATE><CTRY><PDAT>US</PDAT></CTRY>"
        document = f"<PDOC><DOC><DNUM><PDAT>{number}</PDAT></DNUM>{dated}</DOC></PDOC>"
        return f"<{code}><PARENT-US>{child}{document}<PSTA><PDAT>00</PDAT></PSTA>{granted}</PARENT-US></{code}>"

    claim = """<B300><B310><DNUM><PDAT>10-12345</PDAT></DNUM></B310><B320><DATE><PDAT>19980707</PDAT></DATE></B320>
        <B330><CTRY><PDAT>JP</PDAT></CTRY></B330></B300>"""
    division = parent("B620", "29/001002", "19970301", "D400001")
    related = f"<B600>{division}<B630>{parent('B632', 'PCT/NO98/00107', '19980402')}</B630></B600>"
    record = read(tmp_path, patdoc(priority=claim, related=related))
    assert [(link.relation, link.office, link.number, link.date) for link in record.family] == [
        ("priority", "JP", "10-12345", "1998-07-07"),
        ("division", "US", "29001002", "1997-03-01"),
        ("division-grant", "US", "D400001", None),
        ("division-child", "US", "29116510", None),
        ("continuation-in-part", "WO", "PCT/NO98/00107", "1998-04-02"),
        ("continuation-in-part-child", "US", "29116510", None),
    ]
    assert record.priority == dt.date(1997, 3, 1)


def test_sgml_reads_as_xml_does(tmp_path: Path) -> None:
    record = read(tmp_path, sgml(title="Caf&eacute; &mdash; A & B"))
    assert record.title == "Café — A & B"
    plain = read(tmp_path, patdoc(title="Café — A &amp; B"))
    assert record.text_digest() == plain.text_digest()


def test_a_week_of_sgml_is_split_into_its_documents(tmp_path: Path) -> None:
    texts = [sgml(), sgml(number="06336130", kind="B1", series="09"), sgml(number="D0435856").replace("</PATDOC>", "")]
    path = write(tmp_path, {"pgb20010102.sgm": "".join([*texts, sgml(number="D0435857")])}) / "pgb20010102.sgm"
    found = found_in(path)
    assert [type(item).__name__ for item in found] == ["PatentRecord", "Passed", "Rejected", "PatentRecord"]
    assert reasons_in(path) == ["bad-xml"]
    assert ids_in(path) == ["USD0435854", "USD0435857"]


@pytest.mark.parametrize(("series", "taken"), [("29", ["USRE037001"]), ("09", [])])
def test_a_reissue_is_taken_if_its_application_is_a_designs(tmp_path: Path, series: str, taken: list[str]) -> None:
    path = write(tmp_path, {"a.xml": patdoc("RE037001", kind="E1", series=series)}) / "a.xml"
    assert ids_in(path) == taken


def test_entities_that_are_no_images_are_refused(tmp_path: Path) -> None:
    for text in (patdoc(declared='<!ENTITY x "swell">'), sgml(declared='<!ENTITY x SYSTEM "file:///etc/passwd">')):
        assert reasons_in(write(tmp_path, {"a.xml": text}) / "a.xml") == ["xml-entities"]


@pytest.mark.parametrize("text", ["<PATDOC/>", "<PATDOC><SDOBI></PATDOC>", "<PATDOC><", "<PATDOC></PATDOC>" * 2])
def test_what_has_no_number_is_set_aside(tmp_path: Path, text: str) -> None:
    (reason,) = reasons_in(write(tmp_path, {"a.xml": text}) / "a.xml")
    assert reason in ("unsupported-xml", "bad-xml")


def test_hostile_prologues_take_no_time(tmp_path: Path) -> None:
    for noise in ("<!DOCTYPE PATDOC [", "<!ENTITY ", "<EMI" + " " * 50):
        text = noise * (900_000 // len(noise)) + "<PATDOC>" + noise * 20_000 + "</PATDOC>"
        assert reasons_in(write(tmp_path, {"a.xml": text}) / "a.xml")


def test_a_real_design_of_2001_equals_an_independent_count(real_data: Path) -> None:
    path = real_data / "uspto" / "xml" / "USD435854S1.xml"
    (record,) = records_in(path)
    root = etree.fromstring(path.read_bytes(), etree.XMLParser(resolve_entities=False, load_dtd=False))

    def text(path: str) -> str:
        return str(root.xpath(f"string(//{path})")).strip()

    assert record.id == "US" + text("B110")
    assert f"{record.granted:%Y%m%d}" == text("B140")
    assert f"{record.filed:%Y%m%d}" == text("B220")
    assert (record.locarno or "").replace("-", "") == text("B511")
    assert record.title == text("B540")
    assert len(record.citations) == root.xpath("count(//B561)")
    assert [citation.raw_number for citation in record.citations] == [
        node.xpath("string(.)") for node in root.xpath("//B561//DOC/DNUM")
    ]
    assert (
        record.extra["stated_figures"]
        == len(record.figures)
        == len(set(re.findall(r"FIG\. (\d+) is", text("DRWDESC"))))
    )
    assert record.extra["stated_sheets"] == root.xpath("count(//EMI)") - 1
    assert {figure.object for figure in record.figures} == {"disc cartridge"}
