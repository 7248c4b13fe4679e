"""Packages as offices write them, and broken ones, built by the tests that read them."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from linework_api.ingest.formats import Limits, read
from linework_api.ingest.formats.faults import Found
from linework_api.ingest.sources import FileSource, Source
from linework_core.records import PatentRecord, Rejected

CAPTIONS = (
    "FIG. 1 is a perspective view of a lamp showing my new design;",
    "FIG. 2 is a front view thereof; and,",
    "FIG. 3 is a rear view thereof.",
)


@cache
def tiff(seed: int = 0) -> bytes:
    """A sheet as the USPTO files it: bilevel, CCITT G4, 300 dpi."""
    image = Image.new("1", (170, 220), 1)
    ImageDraw.Draw(image).ellipse((20, 20 + seed, 120, 150), outline=0)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression="group4", dpi=(300, 300))
    return buffer.getvalue()


@cache
def png(seed: int = 0) -> bytes:
    image = Image.new("1", (64, 64), 1)
    ImageDraw.Draw(image).line((0, seed, 63, 40), fill=0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def paragraphs(captions: Iterable[str]) -> str:
    return "".join(f"<p>{caption}</p>" for caption in captions)


def grant(
    number: str = "D0907292",
    date: str = "20210105",
    *,
    version: str = "v4.5 2014-04-03",
    kind: str = "design",
    title: str = "Lamp",
    images: Iterable[str] | None = None,
    captions: Iterable[str] = CAPTIONS,
    head: str = "",
    locarno: str = "<edition>13</edition><main-classification>2605</main-classification>",
    doctype: str = '<!DOCTYPE us-patent-grant SYSTEM "us-patent-grant-v45-2014-04-03.dtd" [ ]>',
) -> bytes:
    """A grant's XML. `head` is what stands in its bibliographic data besides; `captions` may hold markup."""
    stem = f"US{number}-{date}"
    named = [f"{stem}-D{n:05d}.TIF" for n in range(4)] if images is None else images
    figures = "".join(f'<figure num="{n}"><img file="{file}"/></figure>' for n, file in enumerate(named))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
{doctype}
<us-patent-grant lang="EN" dtd-version="{version}" file="{stem}.XML" country="US" date-publ="{date}">
<us-bibliographic-data-grant>
<publication-reference><document-id><country>US</country><doc-number>{number}</doc-number><kind>S1</kind>
<date>{date}</date></document-id></publication-reference>
<application-reference appl-type="{kind}"><document-id><country>US</country><doc-number>29672791</doc-number>
<date>20181210</date></document-id></application-reference>
<classification-locarno>{locarno}</classification-locarno>
<classification-national><country>US</country><main-classification>D 2728</main-classification>
</classification-national>
<invention-title id="d2e53">{title}</invention-title>
{head}
<figures><number-of-drawing-sheets>3</number-of-drawing-sheets><number-of-figures>3</number-of-figures></figures>
</us-bibliographic-data-grant>
<drawings>{figures}</drawings>
<description><?brief-description-of-drawings end="lead"?>
<description-of-drawings>{paragraphs(captions)}</description-of-drawings></description>
<us-claim-statement>CLAIM</us-claim-statement>
<claims><claim><claim-text>The ornamental design for a lamp, as shown.</claim-text></claim></claims>
</us-patent-grant>
""".encode()


def package(number: str = "D0907292", date: str = "20210105", **values: Any) -> dict[str, bytes]:
    """The files of a package: XML, front page and three sheets."""
    stem = f"US{number}-{date}"
    sheets = {f"{stem}/{stem}-D{n:05d}.TIF": tiff(n) for n in range(4)}
    return {**sheets, f"{stem}/{stem}.XML": grant(number, date, **values)}


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            add_to_tar(tar, name, data)
    return buffer.getvalue()


def add_to_tar(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def weekly(numbers: Iterable[str], date: str = "20210105", others: Mapping[str, bytes] | None = None) -> bytes:
    """A weekly tar: designs under DESIGN/, whatever else beside it."""
    designs = {f"I{date}/DESIGN/US{n}-{date}.ZIP": zipped(package(n, date)) for n in numbers}
    return tarred({**(others or {}), **designs})


def data_record(patent: str = "USD0836880-20190101", sheet: int = 1, drawing: int = 1, **values: Any) -> dict[str, Any]:
    """A record of DeepPatent2, as its documentation shows it."""
    record = {
        "id": f"{patent}-{drawing}",
        "patentID": patent,
        "patentdate": "2019-01-01",
        "figid": str(drawing),
        "caption": f"Fig. {drawing} is a front view of a pet treat",
        "object": "Pet treat",
        "aspect": "front view",
        "figure_file": f"{patent}-D{sheet:05d}.png",
        "subfigure_file": f"{patent}-D{sheet:05d}_{drawing}.png",
        "object_title": "Pet treat",
        "classification_locarno": "3007",
    }
    return {key: value for key, value in (record | values).items() if value is not None}


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def as_json(records: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(records))


def as_lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def found_in(path: Path, *, images: Source | None = None, limits: Limits | None = None) -> list[Found]:
    """Everything that a reader yields for a path, each sheet's bytes having been read on the way."""
    found = []
    for item in read(FileSource(path), images=images, limits=limits):
        if isinstance(item, PatentRecord):
            assert all(sheet.read() for sheet in item.sheets)
            assert all(drawing.read() for drawing in item.drawings if drawing.read)
        found.append(item)
    return found


def records_in(path: Path, **options: Any) -> list[PatentRecord]:
    return [item for item in found_in(path, **options) if isinstance(item, PatentRecord)]


def only_record(path: Path, **options: Any) -> PatentRecord:
    (record,) = records_in(path, **options)
    return record


def reasons_in(path: Path, **options: Any) -> list[str]:
    return [item.reason for item in found_in(path, **options) if isinstance(item, Rejected)]


def ids_in(path: Path, **options: Any) -> list[str]:
    return [record.id for record in records_in(path, **options)]
