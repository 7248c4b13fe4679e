"""The facts in a USPTO grant of 2001 to 2004 (`PATDOC`, ST.32 version 2): SGML at first, then XML with the same names.

Elements are known by WIPO's codes: B110 is the number, B511 the class, B540 the title (ST.32, USPTO's DTD v2.5).
"""

import re
from collections.abc import Iterator

from lxml import etree

from linework_api.ingest.formats import figures, grant
from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.formats.grant import (
    DESIGN_SERIES,
    cited_number,
    count_at,
    earliest_priority,
    identity,
    locarno_classes,
    paragraphs,
    parse_day,
    plain_number,
    reduced_date,
    text_at,
    unpadded,
)  # fmt: skip
from linework_api.ingest.formats.limits import Limits
from linework_core.records import Citation, FamilyLink, PatentRecord

ROOT = re.compile(rb"<PATDOC[\s>]")
# What the DTD declares EMPTY: SGML writes these without the slash that XML wants.
_EMPTY = re.compile(
    r"<(?P<name>B221US|B473US|B597US|CHEMCDX|CHEMMOL|CITED-BY-EXAMINER|CITED-BY-OTHER|CRF|CUSTOM-CHARACTER|DEL-E|DEL-S|"
    r"DFREF|EMI|EMR|FOR|INS-E|INS-S|LSTREF|MATHEMATICA|PAREF|SEQREF|TBLREF)(?P<attributes>(?=[\s/>])[^<>]*)>(?:</\1>)?"
)
_AMPERSAND = re.compile(r"&(?!#?\w{1,31};)")  # one that begins no name of a character
# Related documents (B600), named as version 4 names them.
_RELATED = {
    "B610": "addition",
    "B620": "division",
    "B630/B631": "continuation",
    "B630/B632": "continuation-in-part",
    "B630/B633": "continuing-reissue",
    "B640": "reissue",
    "B641US": "divisional-reissue",
    "B645": "reexamination",
    "B646US": "reexamination",
    "B660": "substitution",
}
_RELATED_ALONE = {"B680US": "provisional-application", "B690US": "related-publication"}


def is_st32(data: bytes) -> bool:
    """Whether a document is of this generation: its root element stands near its beginning."""
    return ROOT.search(data, 0, 1 << 20) is not None


def parse(data: bytes, limits: Limits) -> etree._Element:
    """The root element; what SGML allows and XML does not is mended first, and small slips are passed over.

    Raises Fault: too-large, bad-xml (also where the end is missing), xml-entities.
    """
    try:
        return grant.parse(data, limits)
    except Fault as fault:
        if fault.reason != "bad-xml" or not data.rstrip().endswith(b"</PATDOC>"):
            raise
        refused = fault
    parser = etree.XMLParser(
        recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True,
        remove_comments=True,
    )  # fmt: skip
    root = etree.fromstring(_as_xml(data), parser)
    if root is None or root.tag != "PATDOC":
        raise refused
    return root


def _as_xml(data: bytes) -> bytes:
    """The document as XML. Raises Fault 'xml-entities' for entities that are more than names of image files."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    prolog, _, _ = text.partition("<PATDOC")
    for entity in re.findall(r"<!ENTITY[^<>]*", prolog):
        if not re.search(r"\sNDATA\s", entity):
            raise Fault("xml-entities", f"The document declares an entity: {entity[:100]!r}.")
    body = _EMPTY.sub(_closed, _AMPERSAND.sub("&amp;", text[len(prolog) :]))
    # with a DTD that is not read, unknown names of characters are left as they stand, which html can read
    return f'<!DOCTYPE PATDOC SYSTEM "st32.dtd">{body}'.encode()


def _closed(element: re.Match[str]) -> str:
    return f"<{element['name']}{element['attributes'].rstrip().removesuffix('/')}/>"


def is_design(root: etree._Element) -> bool:
    """Whether the grant is a design's, or the reissue of one: its application then is of a design's series.

    Raises Fault 'unsupported-xml' if it has no number.
    """
    if text_at(root, "SDOBI/B100/B110") is None:
        raise Fault("unsupported-xml", "The PATDOC has no document number (B110).")
    kind = text_at(root, "SDOBI/B100/B130") or ""
    if kind.startswith("S"):
        return True
    return kind.startswith("E") and text_at(root, "SDOBI/B200/B211US") in DESIGN_SERIES


def images(root: etree._Element) -> list[str]:
    """The files of its sheets, in their order."""
    return [str(node.get("FILE", "")) for node in root.iterfind("SDODR/EMI")]


def read_grant(root: etree._Element) -> PatentRecord:
    """All facts but the sheets. Raises Fault 'bad-id'."""
    head = root.find("SDOBI")
    assert head is not None  # is_design has been asked
    office, number = text_at(head, "B100/B190") or "US", text_at(head, "B100/B110") or ""
    filed, application = parse_day(text_at(head, "B200/B220")), text_at(head, "B200/B210")
    title = text_at(head, "B500/B540")
    classes = [*paragraphs(head, "B500/B510/B511"), *paragraphs(head, "B500/B510/B512")]
    locarno, odd_class = locarno_classes(classes)
    family = [*_priority_claims(head), *_related(head)]
    read = figures.describe(paragraphs(root, "SDODE/DRWDESC//PARA"), title)
    told = {
        "stated_sheets": count_at(head, "B500/B590/B595"),
        "stated_figures": count_at(head, "B500/B590/B596"),
        "literature": [text for text in paragraphs(head, "B500/B560/B562/NCIT") if text] or None,
        "classification_national": text_at(head, "B500/B520/B521"),
        "unread_locarno": odd_class,
        "anomalies": read.anomalies or None,
    }
    return PatentRecord(
        source="uspto",
        id=identity(office, number),
        office=office,
        number=unpadded(number),
        kind=text_at(head, "B100/B130"),
        title=title,
        granted=parse_day(text_at(head, "B100/B140")),
        filed=filed,
        priority=earliest_priority(filed, family),
        locarno=locarno[0] if locarno else None,
        locarno_edition=text_at(head, "B500/B510/B516"),
        locarno_further=tuple(locarno[1:]),
        claim=text_at(root, "SDOCL/CL/CLM"),
        application=office + plain_number(office, application) if application else None,
        family=tuple(family),
        citations=tuple(_citations(head)),
        figures=read.figures,
        extra={key: value for key, value in told.items() if value is not None},
    )


def _priority_claims(head: etree._Element) -> Iterator[FamilyLink]:
    for claim in head.iterfind("B300"):
        office, number = text_at(claim, "B330"), text_at(claim, "B310")
        if office and number:
            yield FamilyLink("priority", office, plain_number(office, number), reduced_date(text_at(claim, "B320")))


def _related(head: etree._Element) -> Iterator[FamilyLink]:
    """The parent of each relation, the patent granted on it ('-grant'), and the child that this document is."""
    places = {"PDOC/DOC": "", "PPUB/DOC": "-grant", "CDOC/DOC": "-child"}
    for path, name in _RELATED.items():
        for relation in head.iterfind(f"B600/{path}/PARENT-US"):
            for place, suffix in places.items():
                yield from _link(name + suffix, relation.find(place))
    for path, name in _RELATED_ALONE.items():
        for node in head.iterfind(f"B600/{path}/DOC"):
            yield from _link(name, node)


def _link(relation: str, node: etree._Element | None) -> Iterator[FamilyLink]:
    number = text_at(node, "DNUM")
    if number is None:
        return
    office = "WO" if number.startswith("PCT/") else text_at(node, "CTRY") or "US"
    plain = plain_number(office, number)
    plain = unpadded(plain) if relation.endswith("-grant") else plain
    yield FamilyLink(relation, office, plain, reduced_date(text_at(node, "DATE")))


def _citations(head: etree._Element) -> Iterator[Citation]:
    for citation in head.iterfind("B500/B560/B561"):
        node = citation.find("PCIT/DOC")
        number = text_at(node, "DNUM")
        if number is None:
            continue
        office, kind = text_at(node, "CTRY") or "US", text_at(node, "KIND")
        by_examiner = citation.find("CITED-BY-EXAMINER") is not None
        by_other = citation.find("CITED-BY-OTHER") is not None
        yield Citation(
            number=cited_number(office, number, kind),
            raw_number=number,
            office=office,
            kind=kind,
            date=reduced_date(text_at(node, "DATE")),
            name=text_at(citation, "PCIT/PARTY-US/NAM"),
            category="cited by examiner" if by_examiner else "cited by other" if by_other else None,
        )
