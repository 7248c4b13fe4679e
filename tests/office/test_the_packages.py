"""What the imaginary office publishes: weekly tars of packages, as USPTO makes them."""

import io
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from PIL import Image

from linework_office import Design, captions, draw, package, plan, publish, write_folder, write_package, write_weeks

SMALL = {"designs": 8, "seed": 5, "size": 0.3}


@dataclass(frozen=True)
class Package:
    path: str
    files: dict[str, bytes]

    @property
    def name(self) -> str:
        return Path(self.path).stem

    @property
    def grant(self) -> etree._Element:
        return etree.fromstring(next(data for name, data in self.files.items() if name.endswith(".XML")))

    @property
    def sheets(self) -> list[Image.Image]:
        return [Image.open(io.BytesIO(self.files[name])) for name in sorted(self.files) if name.endswith(".TIF")]


def packages_in(tars: list[Path]) -> Iterator[Package]:
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                with zipfile.ZipFile(io.BytesIO(content.read())) as archive:
                    yield Package(member.name, {name: archive.read(name) for name in archive.namelist()})


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return publish(tmp_path_factory.mktemp("office"), **SMALL)


@pytest.fixture(scope="module")
def packages(tars: list[Path]) -> list[Package]:
    return list(packages_in(tars))


@pytest.fixture(scope="module")
def designs() -> dict[str, Design]:
    return {design.name: design for design in plan(SMALL["designs"], SMALL["seed"])}


def test_each_week_is_a_tar_named_by_its_tuesday(tars: list[Path], packages: list[Package]) -> None:
    assert len(packages) == SMALL["designs"]
    assert [path.name for path in tars] == sorted({parcel.path.split("/")[0] + ".tar" for parcel in packages})
    for parcel in packages:
        week = re.fullmatch(r"I(\d{8})/DESIGN/USD0\d{6}-\1\.ZIP", parcel.path)
        assert week
        assert date.fromisoformat(week[1]).weekday() == 1


def test_each_package_is_one_folder_with_a_grant_and_numbered_sheets(packages: list[Package]) -> None:
    for parcel in packages:
        sheets = len(parcel.files) - 1
        expected = [f"{parcel.name}/{parcel.name}-D{n:05d}.TIF" for n in range(sheets)]
        assert sorted(parcel.files) == [*expected, f"{parcel.name}/{parcel.name}.XML"]


def test_sheets_are_one_strip_of_g4_at_300_dpi_with_white_as_zero(packages: list[Package]) -> None:
    for parcel in packages:
        for sheet in parcel.sheets:
            assert (sheet.format, sheet.mode) == ("TIFF", "1")
            tags = sheet.tag_v2
            assert (tags[258], tags[259], tags[262], tags[277]) == ((1,), 4, 0, 1)
            assert (float(tags[282]), float(tags[283]), tags[296]) == (300.0, 300.0, 2)
            assert tags[278] == sheet.height
            assert 0.001 < 1 - np.asarray(sheet).mean() < 0.2  # few black lines on white


def test_the_grant_counts_the_sheets_that_are_there(packages: list[Package], designs: dict[str, Design]) -> None:
    for parcel in packages:
        grant, design = parcel.grant, designs[parcel.name]
        assert int(grant.findtext(".//number-of-drawing-sheets")) == len(parcel.sheets) - 1 == len(design.sheets)
        assert int(grant.findtext(".//number-of-figures")) == len(design.views)
        images = grant.findall(".//drawings/figure/img")
        assert [image.get("file") for image in images] == [Path(n).name for n in sorted(parcel.files) if "D0000" in n]


def test_the_grant_gives_the_size_of_each_image_in_millimetres(packages: list[Package]) -> None:
    for parcel in packages:
        for image, sheet in zip(parcel.grant.findall(".//drawings/figure/img"), parcel.sheets, strict=True):
            for side, name in ((sheet.height, "he"), (sheet.width, "wi")):
                assert float(image.get(name).removesuffix("mm")) == pytest.approx(side * 25.4 / 300, abs=0.01)


def test_the_front_page_repeats_the_first_figure_without_its_label(designs: dict[str, Design]) -> None:
    for design in list(designs.values())[:3]:
        front, first, *_ = draw(design, size=0.2)
        index, (left, top, right, bottom) = first.figures[0]
        assert index == front.figures[0][0] == 0
        np.testing.assert_array_equal(front.ink, first.ink[top:bottom, left:right])
        assert first.ink[bottom:].any()  # the label


def test_numbers_are_padded_in_the_publication_and_bare_in_citations(packages: list[Package]) -> None:
    for parcel in packages:
        own = parcel.grant.findtext("us-bibliographic-data-grant/publication-reference/document-id/doc-number")
        assert re.fullmatch(r"D0\d{6}", own)
        cited = parcel.grant.xpath(".//us-citation//document-id[country='US' and kind='S']/doc-number/text()")
        assert all(re.fullmatch(r"D[1-9]\d*", number) for number in cited)


def test_locarno_has_its_own_element_with_an_edition(packages: list[Package], designs: dict[str, Design]) -> None:
    for parcel in packages:
        locarno = parcel.grant.find(".//classification-locarno")
        code = designs[parcel.name].locarno.replace("-", "")
        assert (locarno.findtext("edition"), locarno.findtext("main-classification")) == ("13", code)
        assert len(parcel.grant.findall(".//main-classification")) > 1  # the trap: national classes look alike


def test_every_figure_is_described_in_order(packages: list[Package], designs: dict[str, Design]) -> None:
    for parcel in packages:
        described = [
            "".join(paragraph.itertext())
            for paragraph in parcel.grant.findall(".//description-of-drawings/p")
            if paragraph.find("figref") is not None
        ]
        expected = [caption.label + caption.text for caption in captions(designs[parcel.name])]
        assert described == expected


def test_captions_read_as_the_office_writes_them() -> None:
    design = replace(plan(1)[0], title="Umbrella", style="elevational", views=("perspective", "front", "top"))
    design = replace(design, hague=None, inventors=design.inventors[:1])
    assert [caption.label + caption.text for caption in captions(design)] == [
        "FIG. 1 is a perspective view of an umbrella, showing my new design;",
        "FIG. 2 is a front elevational view thereof; and,",
        "FIG. 3 is a top plan view thereof.",
    ]


def test_the_same_seed_gives_the_same_bytes_whoever_draws(tars: list[Path], tmp_path: Path) -> None:
    again = publish(tmp_path, **SMALL, workers=2)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in tars]


def test_another_seed_gives_other_designs() -> None:
    assert package(plan(1, seed=1)[0], size=0.1) != package(plan(1, seed=2)[0], size=0.1)


def test_one_design_can_be_written_as_a_zip_a_folder_or_a_week(tmp_path: Path) -> None:
    design = replace(plan(1)[0], granted=date(2030, 1, 1), views=("front",), sheets=(1,))
    zipped = write_package(tmp_path, design, size=0.1)
    folder = write_folder(tmp_path, design, size=0.1)
    (week,) = write_weeks(tmp_path, [design], size=0.1)
    with zipfile.ZipFile(zipped) as archive:
        inside = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert inside == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert week.name == "I20300101.tar"
    assert zipped.name == f"{design.id}-20300101.ZIP"


def test_a_composite_sheet_knows_where_its_figures_are() -> None:
    design = replace(plan(1)[0], views=("front", "right", "top", "rear"), sheets=(1, 3))
    front, single, composite = draw(design, size=0.3)
    assert [index for index, _ in composite.figures] == [1, 2, 3]
    assert (front.number, single.number, composite.number) == (0, 1, 2)
    for _, (left, top, right, bottom) in composite.figures:
        drawing = composite.ink[top:bottom, left:right]
        assert drawing[:, [7, 8, 9, -9, -8, -7]].any()  # the box is tight: a margin of eight, then ink
        assert not drawing[:3].any()


@pytest.mark.skipif("LINEWORK_DATA" not in os.environ, reason="LINEWORK_DATA names no folder with the DTDs")
def test_every_grant_is_valid_by_the_dtd_of_the_office(packages: list[Package]) -> None:
    dtd = etree.DTD(str(Path(os.environ["LINEWORK_DATA"]) / "uspto/dtd/us-patent-grant-v45-2014-04-03.dtd"))
    for parcel in packages:
        assert dtd.validate(parcel.grant), dtd.error_log
