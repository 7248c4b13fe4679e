"""Real packages: what was read equals what an independent count finds."""

import inspect
import io
import re
import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from linework_api.ingest.formats import grant, read, st32
from linework_api.ingest.sources import FileSource
from linework_core import imaging
from linework_core.records import Passed, PatentRecord
from tests.ingest.building import records_in


@pytest.fixture
def impact30(real_data: Path) -> Path:
    return real_data / "uspto" / "impact30"


def grant_of(package: Path) -> ET.Element:
    with zipfile.ZipFile(package) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".XML"))
        return ET.fromstring(archive.read(name))


def described(root: ET.Element) -> set[str]:
    """Labels at the beginning of paragraphs, before a verb or a colon; no rule of ours is used."""
    texts = (" ".join("".join(p.itertext()).split()) for p in root.iterfind(".//description-of-drawings/p"))
    begin = r"(?:FIG\. (\d+)|(\d+\.\d+)|The FIGURE) ?(?:is|shows|:)"
    return {m[1] or m[2] or "1" for text in texts if (m := re.match(begin, text))}


def test_sheets_figures_captions_and_citations_equal_an_independent_count(impact30: Path) -> None:
    packages = sorted(impact30.glob("*.ZIP"))
    assert len(packages) == 30
    for package in packages:
        (record,) = records_in(package)
        root = grant_of(package)
        images = [node.get("file", "") for node in root.iterfind("./drawings/figure/img")]
        assert [sheet.name for sheet in record.sheets] == images
        assert {figure.number for figure in record.figures} == described(root)
        assert len(record.figures) == int(root.findtext(".//figures/number-of-figures") or 0)
        assert len(record.drawings) == int(root.findtext(".//figures/number-of-drawing-sheets") or 0)
        assert len(record.citations) == len(root.findall(".//us-references-cited/us-citation/patcit/document-id"))
        assert len(record.extra.get("literature", [])) == len(root.findall(".//us-references-cited//nplcit"))
        assert all(figure.caption and figure.object for figure in record.figures)


def test_front_pages_are_no_drawings_and_every_sheet_can_be_decoded(impact30: Path) -> None:
    front_pages = 0
    for record in read(FileSource(impact30)):
        assert isinstance(record, PatentRecord)
        assert [sheet.number for sheet in record.sheets if sheet.role == "front_page"] == [0]
        front_pages += 1
        for sheet in record.sheets:
            assert imaging.to_derivative(imaging.open_image(sheet.read())).size[0] > 0
    assert front_pages == 30


def test_hague_priority_and_related_documents_are_all_kept(impact30: Path) -> None:
    counted: Counter[str] = Counter()
    for package in sorted(impact30.glob("*.ZIP")):
        (record,) = records_in(package)
        root = grant_of(package)
        relations = Counter(link.relation for link in record.family)
        assert relations["priority"] == len(root.findall(".//priority-claims/priority-claim"))
        assert (record.hague is not None) == (root.find(".//hague-agreement-data") is not None)
        assert relations["division"] == len(root.findall(".//us-related-documents/division"))
        assert relations["continuation"] == len(root.findall(".//us-related-documents/continuation"))
        assert record.priority is not None
        assert record.filed is not None
        assert record.priority <= record.filed
        counted += relations
    assert counted["hague"] == 3
    assert counted["priority"] == 8


def test_views_of_a_captioned_figure_are_read(impact30: Path) -> None:
    figures = [figure for record in records_in(impact30) for figure in record.figures]
    assert sum(figure.view is not None for figure in figures) / len(figures) > 0.94


def test_designs_are_read_from_the_full_text_of_earlier_years(real_data: Path) -> None:
    for path in sorted((real_data / "uspto" / "xml").glob("ipg*.xml")):
        data = path.read_bytes()
        found = list(read(FileSource(path)))
        records = [item for item in found if isinstance(item, PatentRecord)]
        assert len(records) == data.count(b'<application-reference appl-type="design">')
        assert len(records) + sum(isinstance(item, Passed) for item in found) == data.count(b"<?xml ")
        for record in records:
            assert len(record.figures) == record.extra["stated_figures"]
            assert record.locarno is not None
            assert record.citations


def grants_of(text: bytes) -> list[etree._Element]:
    """The designs of a concatenated file, cut and parsed by other means than ours."""
    pieces = re.split(rb"(?=<\?xml version)", text)[1:]
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    roots = [etree.fromstring(piece, parser) for piece in pieces]
    return [root for root in roots if root.xpath("boolean(.//application-reference[@appl-type='design'])")]


def test_concatenated_years_equal_an_independent_count_of_each_document(real_data: Path) -> None:
    counted: Counter[str] = Counter()
    for path in sorted((real_data / "uspto" / "xml").glob("ipg*.xml")):
        records = records_in(path)
        for record, root in zip(records, grants_of(path.read_bytes()), strict=True):

            def text(place: str, root: etree._Element = root) -> str:
                return " ".join(str(root.xpath(f"string(us-bibliographic-data-grant/{place})")).split())

            assert record.id == "US" + text("publication-reference//doc-number")
            assert f"{record.granted:%Y%m%d}" == text("publication-reference//date")
            assert f"{record.filed:%Y%m%d}" == text("application-reference//date")
            assert f"{record.produced:%Y%m%d}" == root.get("date-produced")
            assert record.title == text("invention-title")
            assert record.locarno_edition == text("classification-locarno/edition")
            assert len(record.citations) == root.xpath("count(//patcit)")
            assert len(record.extra.get("literature", [])) == root.xpath("count(//nplcit)")
            assert len(record.figures) == int(text("figures/number-of-figures"))
            assert record.claim == " ".join(str(root.xpath("string(claims/claim[1])")).split())
            relations = Counter(link.relation.removesuffix("-grant").removesuffix("-child") for link in record.family)
            assert relations["priority"] == root.xpath("count(//priority-claim)")
            named = {str(node.tag).removeprefix("us-") for node in root.xpath("//us-related-documents/*")}
            assert set(relations) - {"priority"} == named
            counted[path.name] += 1
    assert counted == {"ipg070102.small.xml": 4, "ipg080101.small.xml": 6, "ipg130416.small.xml": 2}


@pytest.mark.parametrize("name", ["ipg050104.small.xml", "US08930553.xml"])
def test_a_file_without_designs_is_passed_over_whole(real_data: Path, name: str) -> None:
    path = real_data / "uspto" / "xml" / name
    found = list(read(FileSource(path)))
    assert len(found) == path.read_bytes().count(b"<us-patent-grant ") > 0
    assert {type(item) for item in found} == {Passed}


def test_every_element_that_is_read_is_declared_in_every_dtd(real_data: Path) -> None:
    """In one of the names that it had: version 4.3 renamed some, 4.5 brought The Hague's."""
    renamed = {"us-references-cited": "references-cited", "us-citation": "citation"}
    renamed |= {new: old for old, new in renamed.items()}
    code = inspect.getsource(grant)
    paths = re.findall(r"(?:text_at|find|findall|iterfind|paragraphs|count_at|iter)\((?:\w+, )?\"([a-z/-]+)", code)
    names = {name for path in paths for name in path.split("/") if name}
    assert len(names) > 30
    for dtd in sorted((real_data / "uspto" / "dtd").glob("us-patent-grant-*.dtd")):
        declared = set(re.findall(r"<!ELEMENT ([\w-]+)", dtd.read_text()))
        lacking = {name for name in names - declared if renamed.get(name) not in declared}
        brought = {name for name in lacking if name.startswith(("hague-", "international-"))}
        assert lacking == brought, dtd.name
        assert not brought or "v45" not in dtd.name


def test_every_element_of_st32_that_is_read_is_declared_in_its_dtd(real_data: Path) -> None:
    dtd = (real_data / "uspto" / "dtd" / "ST32-US-Grant-025xml.dtd").read_text()
    declared = dict(re.findall(r"<!ELEMENT ([\w-]+) +([^>]*)>", dtd))
    code = inspect.getsource(st32)
    names = {name for path in re.findall(r'"([A-Z][A-Z0-9/-]+)"', code) for name in re.split("/+", path) if name}
    assert len(names) > 50
    assert names - set(declared) <= {"PATDOC", "FILE", "PCT", "WO", "US", "S", "E"}
    empty = {name for name, model in declared.items() if model.strip() == "EMPTY"}
    assert empty == {name for name in declared if st32._EMPTY.fullmatch(f"<{name}>")}


@pytest.mark.parametrize("place", ["", "records.json"])
def test_every_view_of_the_ldraw_set_is_read_from_its_tar(real_data: Path, place: str) -> None:
    patents, drawings, empty = 0, 0, 0
    for record in read(FileSource(real_data / "ldraw-views" / place)):
        if isinstance(record, PatentRecord):
            patents += 1
            drawings += len(record.drawings)
            empty += sum(not sheet.read().startswith(b"\x89PNG") for sheet in record.sheets)
            assert all(drawing.figure for drawing in record.drawings)
    assert (patents, drawings, empty) == (3046, 19525, 0)


def test_drawings_of_deeppatent2_are_read_under_their_numbers(real_data: Path, tmp_path: Path) -> None:
    pictures = sorted((real_data / "deeppatent2" / "figures").glob("*.png"))
    records = [f'{{"patentID": "{p.name[:19]}", "subfigure_file": "{p.name}"}}' for p in pictures]
    (tmp_path / "data.jsonl").write_text("\n".join(records))
    found = records_in(tmp_path / "data.jsonl", images=FileSource(pictures[0].parent))
    ids = {f"{record.sheets[i].id}_{d.number}" for record in found for i, d in enumerate(record.drawings)}
    assert ids == {picture.stem for picture in pictures}
    assert imaging.open_image(io.BytesIO(found[0].sheets[0].read()).getvalue()).size[0] > 100
