"""The facts in a USPTO grant document (`us-patent-grant`, versions 4.0 to 4.5)."""

import datetime as dt
import html
import re
from collections.abc import Iterable, Iterator

from lxml import etree

from linework_api.ingest.formats import figures
from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.limits import Limits
from linework_core.records import Citation, FamilyLink, PatentRecord

# Documents that stand among grants in the full-text files.
COMPANIONS = frozenset({"sequence-cwu", "us-patent-application"})
DESIGN_SERIES = ("29", "35")  # of application numbers; 35 came by way of The Hague
# Relations whose parent's filing date an applicant claims; a substitute or a correction claims none.
CLAIMING = frozenset({
    "division", "continuation", "continuation-in-part", "continuing-reissue", "reissue", "divisional-reissue",
    "provisional-application", "addition", "utility-model-basis",
})  # fmt: skip


def parse(data: bytes, limits: Limits) -> etree._Element:
    """The root element. A DOCTYPE is fine and never fetched; declared entities are refused.

    Raises Fault: too-large, bad-xml, xml-entities.
    """
    if len(data) > limits.xml:
        raise Fault("too-large", f"The XML has {len(data):,} bytes; {limits.xml:,} are allowed.")
    if data.count(b"<") > 2 * limits.xml_elements:  # a tag at its beginning, and one at its end
        raise Fault("too-large", f"The XML has more than {limits.xml_elements:,} elements.")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True, remove_comments=True
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Fault("bad-xml", f"The XML is not well-formed: {error}.") from None
    declared = root.getroottree().docinfo.internalDTD
    for entity in declared.iterentities() if declared is not None else ():
        if not (entity.system_url and entity.content):  # an image's notation is all that real files declare
            raise Fault("xml-entities", f"The XML declares the entity {entity.name!r}.")
    return root


def is_design(root: etree._Element) -> bool:
    """Whether the grant is a design's, or the reissue of one: its application then is of a design's series.

    Raises Fault 'unsupported-xml' if it is no grant of version 4.
    """
    if root.tag in COMPANIONS:
        return False
    head = root.find("us-bibliographic-data-grant")
    if root.tag != "us-patent-grant" or head is None:
        raise Fault(
            "unsupported-xml",
            f"The root element is {root.tag!r}; us-patent-grant (version 4) or PATDOC is needed.",
        )
    application = head.find("application-reference")
    kind = text_at(head, "publication-reference/document-id/kind") or ""
    if (application is not None and application.get("appl-type") == "design") or kind.startswith("S"):
        return True
    return kind.startswith("E") and text_at(head, "us-application-series-code") in DESIGN_SERIES


def images(root: etree._Element) -> list[str]:
    """The files of its sheets, in their order."""
    return [str(node.get("file", "")) for node in root.iterfind("drawings/figure/img")]


def read_grant(root: etree._Element) -> PatentRecord:
    """All facts but the sheets. Raises Fault 'bad-id'.

    `priority` is the earliest date that is claimed and lies before the filing: of a priority claim, of the Hague
    filing or registration, or of a parent application; otherwise it is the filing date.
    """
    head = root.find("us-bibliographic-data-grant")
    assert head is not None  # is_design has been asked
    office, number, published = _document(head.find("publication-reference/document-id"))
    _, application, filed_text = _document(head.find("application-reference/document-id"))
    filed, hague = parse_day(filed_text), _hague(head)
    title = text_at(head, "invention-title")
    locarno, odd_class = _locarno(head)
    family = [*_priority_claims(head), *_hague_link(hague), *_related(head)]
    read = figures.describe(paragraphs(root, "description/description-of-drawings//p"), title)
    return PatentRecord(
        source="uspto",
        id=identity(office, number),
        office=office,
        number=unpadded(number),
        kind=text_at(head, "publication-reference/document-id/kind"),
        title=title,
        granted=parse_day(published),
        filed=filed,
        priority=earliest_priority(filed, family, (hague.get("filed"), hague.get("registered"))),
        locarno=locarno[0] if locarno else None,
        locarno_edition=text_at(head, "classification-locarno/edition"),
        locarno_further=tuple(locarno[1:]),
        claim=text_at(root, "claims/claim"),
        application=office + plain_number(office, application) if application else None,
        hague=hague or None,
        family=tuple(family),
        citations=tuple(_citations(head)),
        figures=read.figures,
        extra=_extra(head, read.anomalies, odd_class),
        produced=parse_day(root.get("date-produced")),
    )


# ---- numbers and dates -----------------------------------------------------------------------------------


def unpadded(number: str) -> str:
    """'D0907292' → 'D907292', '05819225' → '5819225'."""
    match = re.fullmatch(r"([A-Z]*)0*(\d.*)", number)
    return match[1] + match[2] if match else number


def identity(office: str, number: str) -> str:
    """The id as file names have it: 'USD0907292', of a reissue 'USRE048378'. Raises Fault 'bad-id'."""
    match = re.fullmatch(r"(D|RE)0*(\d{1,7})", number)
    if office != "US" or match is None or len(match[2]) > 8 - len(match[1]):
        raise Fault("bad-id", f"{office} {number!r} is not the number of a US design.")
    return f"US{match[1]}{match[2].zfill(8 - len(match[1]))}"


def office_and_number(identity: str) -> tuple[str, str]:
    """'USD0836880' → US, D836880; 'LD3001' → LD, 3001; without letters in front the office is unknown ('XX')."""
    if re.fullmatch(r"US[A-Z]*\d+", identity):
        return "US", unpadded(identity[2:])
    match = re.match(r"[A-Z]+", identity)
    office = match[0] if match and match[0] != identity else "XX"
    return office, identity.removeprefix(office)


def cited_number(office: str, number: str, kind: str | None) -> str:
    """A cited document's number as one word.

    US designs as we name patents but unpadded ('USD428532'); others with their kind, as registers have them:
    'US20060236442A1', 'US5819225A', 'CN304525790S', 'EM001234567-0001'.
    """
    plain = re.sub(r"[\s/,.]", "", number).upper()
    plain = plain.removeprefix(office.upper()) or plain
    if office == "US":
        plain = unpadded(plain)
        if plain.startswith("D"):
            return f"US{plain}"
    return f"{office}{plain}{kind or ''}"


def plain_number(office: str, number: str) -> str:
    """US application numbers are printed with and without marks; other offices' marks are part of the number."""
    return re.sub(r"[\s/,]", "", number) if office == "US" else number


def parse_day(text: str | None) -> dt.date | None:
    """A date written as 20210105; None for anything else."""
    try:
        return dt.datetime.strptime(text or "", "%Y%m%d").date()
    except ValueError:
        return None


def reduced_date(text: str | None) -> str | None:
    """'19861103' → '1986-11-03', '19861100' → '1986-11', '19860000' → '1986'; nonsense is left out."""
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", text or "")
    if match is None or match[1] == "0000":
        return None
    year, month, _ = match.groups()
    if parse_day(text):
        return "-".join(match.groups())
    return f"{year}-{month}" if "01" <= month <= "12" else year


# ---- parts of the head -----------------------------------------------------------------------------------


def text_at(node: etree._Element | None, path: str) -> str | None:
    """The text at a path, markup left out, in one line; None if there is none."""
    found = node.find(path) if node is not None else None
    return _line(found) or None if found is not None else None


def paragraphs(root: etree._Element, path: str) -> Iterator[str]:
    """The texts of all elements at a path, each in one line."""
    return (_line(node) for node in root.iterfind(path))


def _line(node: etree._Element) -> str:
    """Named entities of HTML stand in older documents."""
    return " ".join(html.unescape("".join(node.itertext())).split())


def _document(node: etree._Element | None) -> tuple[str, str, str | None]:
    """Office, number as printed, and date as printed, of a document-id."""
    return text_at(node, "country") or "", text_at(node, "doc-number") or "", text_at(node, "date")


def _locarno(head: etree._Element) -> tuple[list[str], str | None]:
    """Classes from Locarno's own element, main class first, and the first text that is none."""
    own = head.find("classification-locarno")
    nodes = [] if own is None else [*own.findall("main-classification"), *own.findall("further-classification")]
    return locarno_classes("".join(node.itertext()).strip() for node in nodes)


def locarno_classes(printed: Iterable[str]) -> tuple[list[str], str | None]:
    """The classes up to the first text that is none ('2803' → '28-03'), and that text."""
    found: list[str] = []
    for text in printed:
        if (name := locarno_class(text)) is None:
            return found, text
        found.append(name)
    return found, None


def locarno_class(text: str) -> str | None:
    """'2803', '28-03', '28 03' or '2-3' as '28-03' or '02-03'; None for what is no Locarno class."""
    match = re.fullmatch(r"\s*(?:(\d{1,2})\s*[-–. ]\s*(\d{1,2})|(\d{2})(\d{2})|(\d)(\d{2}))\s*", text)
    if match is None:
        return None
    main, sub = (part for part in match.groups() if part)
    return f"{main:0>2}-{sub:0>2}" if int(main) > 0 else None


def _hague(head: etree._Element) -> dict[str, str]:
    own = head.find("hague-agreement-data")
    told = {
        "number": text_at(own, "international-registration-number"),
        "filed": reduced_date(text_at(own, "international-filing-date/date")),
        "registered": reduced_date(text_at(own, "international-registration-date/date")),
        "published": reduced_date(text_at(own, "international-registration-publication-date/date")),
    }
    return {key: value for key, value in told.items() if value}


def _hague_link(hague: dict[str, str]) -> Iterator[FamilyLink]:
    if "number" in hague:
        yield FamilyLink("hague", "WO", hague["number"], hague.get("registered"))


def _priority_claims(head: etree._Element) -> Iterator[FamilyLink]:
    for claim in head.iterfind("priority-claims/priority-claim"):
        office, number, date = _document(claim)
        if office and number:
            yield FamilyLink("priority", office, plain_number(office, number), reduced_date(date))


def _related(head: etree._Element) -> Iterator[FamilyLink]:
    """Every document that the related documents name, with its date.

    The relation is the element's name: 'division' is the parent application of a division, 'division-grant' the
    patent granted on it, 'division-pct' its international application, 'division-child' the application that
    divided it.
    """
    places = {
        "parent-doc/document-id": "",
        "parent-doc/parent-grant-document/document-id": "-grant",
        "parent-doc/parent-pct-document/document-id": "-pct",
        "child-doc/document-id": "-child",
    }
    for element in head.iterfind("us-related-documents/*"):
        name = str(element.tag).removeprefix("us-")
        for node in [*element.iterfind("document-id"), *element.iterfind("document-corrected/document-id")]:
            yield from _link(name, node)
        for relation in [*element.iterfind("relation"), *element.iterfind("us-relation")]:
            for path, suffix in places.items():
                for node in relation.iterfind(path):
                    yield from _link(name + suffix, node)


def _link(relation: str, node: etree._Element) -> Iterator[FamilyLink]:
    office, number, date = _document(node)
    if office and number:
        plain = unpadded(plain_number(office, number)) if relation.endswith("-grant") else plain_number(office, number)
        yield FamilyLink(relation, office, plain, reduced_date(date))


def earliest_priority(
    filed: dt.date | None, family: Iterable[FamilyLink], others: Iterable[str | None] = ()
) -> dt.date | None:
    """The earliest date that the family claims, or of `others`, that lies before the filing; else the filing's."""
    claimed = [link.date for link in family if link.relation in CLAIMING or link.relation == "priority"]
    days = [_iso_day(text) for text in [*claimed, *others]]
    earlier = [day for day in days if day is not None and (filed is None or day < filed)]
    return min(earlier, default=filed)


def _iso_day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text and len(text) == 10 else None


def _citations(head: etree._Element) -> Iterator[Citation]:
    """Cited patent documents, in order. Version 4.3 renamed the elements."""
    cited = [*head.iterfind("us-references-cited/us-citation"), *head.iterfind("references-cited/citation")]
    for citation in cited:
        node = citation.find("patcit/document-id")
        office, number, date = _document(node)
        if not number:
            continue
        kind = text_at(node, "kind")
        yield Citation(
            number=cited_number(office, number, kind),
            raw_number=number,
            office=office,
            kind=kind,
            date=reduced_date(date),
            name=text_at(node, "name"),
            category=text_at(citation, "category"),
        )


def _extra(head: etree._Element, anomalies: dict[str, int], odd_class: str | None) -> dict[str, object]:
    """What the document says of itself, to compare with what was found, and what else has no place."""
    literature = [text_at(node, ".") for node in head.iter("nplcit")]
    told: dict[str, object | None] = {
        "stated_sheets": count_at(head, "figures/number-of-drawing-sheets"),
        "stated_figures": count_at(head, "figures/number-of-figures"),
        "literature": [text for text in literature if text] or None,
        "classification_national": text_at(head, "classification-national/main-classification"),
        "unread_locarno": odd_class,
        "anomalies": anomalies or None,
    }
    return {key: value for key, value in told.items() if value is not None}


def count_at(head: etree._Element, path: str) -> int | None:
    """A number at a path; None for anything else."""
    text = text_at(head, path)
    return int(text) if text and re.fullmatch(r"\d{1,6}", text) else None
