"""The grant as USPTO publishes it: `us-patent-grant` v4.5."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from .captions import captions, claim, statement
from .design import Citation, Design, Parent, Person
from .sheets import DPI, Sheet

HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<!DOCTYPE us-patent-grant SYSTEM "us-patent-grant-v45-2014-04-03.dtd" [ ]>\n'
)
HEADING = "Brief Description of Drawings"
INLINE = {"p", "claim-text", "othercit"}


def _e(tag: str, *parts: Element | str | dict[str, str], **attributes: str) -> Element:
    """An element of text, children and attributes, as they come."""
    element = Element(tag, attributes)
    for part in parts:
        if isinstance(part, dict):
            element.attrib.update(part)
        elif not isinstance(part, str):
            element.append(part)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + part
        else:
            element.text = (element.text or "") + part
    return element


def grant_xml(design: Design, sheets: Sequence[Sheet]) -> bytes:
    """The XML of one grant; `sheets` with the front page first."""
    root = _e(
        "us-patent-grant",
        _bibliography(design, len(sheets) - 1),
        _e("drawings", *(_figure(design, sheet) for sheet in sheets), id="DRAWINGS"),
        _description(design, any(sheet.broken for sheet in sheets)),
        _e("us-claim-statement", "CLAIM"),
        _e("claims", _e("claim", _e("claim-text", claim(design)), id="CLM-00001", num="00001"), id="claims"),
        {
            "lang": "EN",
            "dtd-version": "v4.5 2014-04-03",
            "file": f"{design.name}.XML",
            "status": "PRODUCTION",
            "id": "us-patent-grant",
            "country": "US",
            "date-produced": _day(design.granted - timedelta(days=15)),
            "date-publ": _day(design.granted),
        },
    )
    _break_lines(root)
    return HEAD + ET.tostring(root) + b"\n"


def _break_lines(element: Element) -> None:
    """One element a line, as the office prints it, except where spaces count."""
    if element.tag not in INLINE and len(element):
        element.text = "\n"
        for child in element:
            _break_lines(child)
            child.tail = "\n"


def _day(day: date) -> str:
    return f"{day:%Y%m%d}"


def _document(country: str, number: str, kind: str = "", name: str = "", day: str = "") -> Element:
    optional = [("kind", kind), ("name", name), ("date", day)]
    return _e(
        "document-id",
        _e("country", country),
        _e("doc-number", number),
        *(_e(tag, text) for tag, text in optional if text),
    )


def _national(code: str) -> Element:
    return _e("classification-national", _e("country", "US"), _e("main-classification", code))


def _bibliography(design: Design, sheets: int) -> Element:
    granted, term = _day(design.granted), "15" if design.filed >= date(2015, 5, 13) else "14"
    parts = [
        _e("publication-reference", _document("US", f"D{design.number:07d}", "S1", day=granted)),
        _e(
            "application-reference",
            _document("US", design.application, day=_day(design.filed)),
            {"appl-type": "design"},
        ),
        _e("us-application-series-code", design.application[:2]),
        *_priorities(design),
        _e("us-term-of-grant", _e("length-of-grant", term)),
        _e(
            "classification-locarno",
            _e("edition", "13"),
            _e("main-classification", design.locarno.replace("-", "")),
        ),
        _national(design.national),
        _e("invention-title", design.title, id="d2e53"),
        *_references(design.citations),
        _e("number-of-claims", "1"),
        _e("us-exemplary-claim", "1"),
        _e("us-field-of-classification-search", *(_national(code) for code in _searched(design))),
        _e("figures", _e("number-of-drawing-sheets", str(sheets)), _e("number-of-figures", str(len(design.views)))),
        *_related(design),
        _parties(design),
        *_assignees(design),
        _examiners(design),
        *_hague(design),
    ]
    return _e("us-bibliographic-data-grant", *parts)


def _priorities(design: Design) -> list[Element]:
    claims = [
        _e(
            "priority-claim",
            _e("country", p.country),
            _e("doc-number", p.number),
            _e("date", _day(p.filed)),
            sequence=f"{n:02d}",
            kind=p.kind,
        )
        for n, p in enumerate(design.priorities, 1)
    ]
    return [_e("priority-claims", *claims)] if claims else []


def _references(citations: Iterable[Citation]) -> list[Element]:
    cited = [_citation(number, c) for number, c in enumerate(citations, 1)]
    return [_e("us-references-cited", *cited)] if cited else []


def _citation(number: int, cited: Citation) -> Element:
    if cited.text:
        what = _e("nplcit", _e("othercit", cited.text), num=f"{number:05d}")
    else:
        document = _document(cited.country, cited.number, cited.kind, cited.name, cited.date)
        what = _e("patcit", document, num=f"{number:05d}")
    where = [_national(cited.national)] if cited.national else []
    return _e("us-citation", what, _e("category", cited.category), *where)


def _searched(design: Design) -> list[str]:
    """The national classes the examiner searched: at least the design's own."""
    return sorted({design.national, *(c.national for c in design.citations if c.national.startswith("D"))})


def _related(design: Design) -> list[Element]:
    """The chain of parents, nearest first: each is the child of the next."""
    children = [design.application, *(parent.application for parent in design.parents)]
    relations = [_relation(p, child) for p, child in zip(design.parents, children, strict=False)]
    return [_e("us-related-documents", *relations)] if relations else []


def _relation(parent: Parent, child: str) -> Element:
    granted = _e("parent-grant-document", _document("US", f"D{parent.number}", day=_day(parent.granted)))
    document = _document("US", parent.application, day=_day(parent.filed))
    return _e(
        parent.relation,
        _e(
            "relation",
            _e("parent-doc", document, granted),
            _e("child-doc", _document("US", child)),
        ),
    )


def _address(person: Person) -> Element:
    state = [_e("state", person.state)] if person.state else []
    return _e("address", _e("city", person.city), *state, _e("country", person.country))


def _named(person: Person) -> Element:
    return _e("addressbook", _e("last-name", person.last), _e("first-name", person.first), _address(person))


def _parties(design: Design) -> Element:
    first = design.inventors[0]
    book = _e("addressbook", _e("orgname", design.company), _address(first)) if design.company else _named(first)
    kind = {"sequence": "001", "app-type": "applicant", "designation": "us-only"}
    if design.company:
        kind["applicant-authority-category"] = "assignee"
    applicant = _e("us-applicant", book, _e("residence", _e("country", first.country)), kind)
    inventors = [
        _e("inventor", _named(person), sequence=f"{n:03d}", designation="us-only")
        for n, person in enumerate(design.inventors, 1)
    ]
    agent = _e(
        "agent",
        _e("addressbook", _e("orgname", design.agent), _e("address", _e("country", "unknown"))),
        {"sequence": "01", "rep-type": "attorney"},
    )
    return _e("us-parties", _e("us-applicants", applicant), _e("inventors", *inventors), _e("agents", agent))


def _assignees(design: Design) -> list[Element]:
    if not design.company:
        return []
    first = design.inventors[0]
    role = "02" if first.country == "US" else "03"
    return [
        _e(
            "assignees",
            _e("assignee", _e("addressbook", _e("orgname", design.company), _e("role", role), _address(first))),
        )
    ]


def _examiners(design: Design) -> Element:
    def examiner(tag: str, name: str, department: str = "") -> Element:
        last, first = name.split(", ")
        unit = [_e("department", department)] if department else []
        return _e(tag, _e("last-name", last), _e("first-name", first), *unit)

    primary, *others = design.examiners
    assistants = [examiner("assistant-examiner", name) for name in others]
    return _e("examiners", examiner("primary-examiner", primary, f"29{int(design.locarno[:2]):02d}"), *assistants)


def _hague(design: Design) -> list[Element]:
    h = design.hague
    if h is None:
        return []
    return [
        _e(
            "hague-agreement-data",
            _e("international-filing-date", _e("date", _day(h.registered))),
            _e("international-registration-publication-date", _e("date", _day(h.published))),
            _e("international-registration-number", h.number),
            _e("international-registration-date", _e("date", _day(h.registered))),
        )
    ]


def _figure(design: Design, sheet: Sheet) -> Element:
    height, width = (f"{side * 25.4 / DPI:.2f}mm" for side in sheet.ink.shape)
    image = {
        "id": f"EMI-D{sheet.number:05d}",
        "he": height,
        "wi": width,
        "file": f"{design.name}-D{sheet.number:05d}.TIF",
        "alt": "embedded image",
        "img-content": "drawing",
        "img-format": "tif",
    }
    return _e("figure", _e("img", image), id=f"Fig-EMI-D{sheet.number:05d}", num=f"{sheet.number:05d}")


def _description(design: Design, broken: bool) -> Element:
    heads: list[Any] = [  # a processing instruction is an element to ElementTree, though not to its types
        ET.ProcessingInstruction("brief-description-of-drawings", f'description="{HEADING}" end="{end}"')
        for end in ("lead", "tail")
    ]

    lines: list[list[Element | str]] = [[f"1. {design.title}"]] if design.hague else []
    for caption in captions(design):
        lines.append([_e("figref", caption.label, idref="DRAWINGS"), *_linked(caption.text)])
    if broken:
        lines.append([statement(design)])
    paragraphs = [_e("p", *line, id=f"p-{n:04d}", num=f"{n:04d}") for n, line in enumerate(lines, 1)]
    return _e("description", heads[0], _e("description-of-drawings", *paragraphs), heads[1], id="description")


def _linked(text: str) -> list[Element | str]:
    """A text whose mention of another figure is a reference, as in 'of the bottle shown in FIG. 1;'."""
    before, found, after = text.partition("FIG. 1")
    return [before, _e("figref", found, idref="DRAWINGS"), after] if found else [text]
