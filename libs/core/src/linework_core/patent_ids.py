"""Ids of patents, and the ways in which people write them.

A US design's id has the office and eight more characters: 'USD0907292', of a reissue 'USRE048378'. Documents print it
as 'D907,292', registers as 'USD907292S1', and an answer's citations as 'USD907292'. Ids of other sources are kept as
they are ('LD3001'), and those that only look like a US design's, too ('D12'): so a text may have two readings.
"""

import re
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_core.tables import Erasure, Patent

_LENGTH = 8  # characters behind the office
_DESIGN = re.compile(
    r"(?:US)?[\s.-]*(D|DES\.?|RE)[\s.-]*(\d{1,3}(?:,\d{3})+|\d{1,8})(?:[\s.-]*[SE]\d?)?", re.IGNORECASE
)
_GROUPED = re.compile(r"(?<![A-Z])(?:US)?[\s.-]*(?:D|DES\.?|RE)[\s.-]*\d{1,3}(?:,\d{3})+(?!\d)", re.IGNORECASE)


def canonical(text: str) -> str:
    """'D907,292', 'USD907292', 'us d907292 s1' → 'USD0907292'; what is no US design stays as it is."""
    match = _DESIGN.fullmatch(text.strip())
    if match is None:
        return text
    letters = "RE" if match[1].upper() == "RE" else "D"
    digits, room = match[2].replace(",", "").lstrip("0"), _LENGTH - len(letters)
    return f"US{letters}{digits.zfill(room)}" if 0 < len(digits) <= room else text


def readings(text: str) -> tuple[str, ...]:
    """The ids that a text may mean, the text itself first."""
    return tuple(dict.fromkeys((text, canonical(text))))


def citation_readings(text: str) -> frozenset[str]:
    """The numbers by which citations may name a document: 'D428,532' → 'USD428532', 'US 5,819,225 A' → 'US5819225A'."""
    plain = re.sub(r"[\s/,.]", "", text).upper()
    return frozenset({text, plain, *(as_cited(one) for one in readings(text))})


def as_cited(patent_id: str) -> str:
    """A US design's id as citations name it, without padding: 'USD0907292' → 'USD907292'; others as they are."""
    match = re.fullmatch(r"US(D|RE)0*(\d+)", patent_id)
    return f"US{match[1]}{match[2]}" if match else patent_id


def ungrouped(text: str) -> str:
    """Numbers of US designs without commas, where commas part a list: 'D907,292,LD3001' → 'D907292,LD3001'."""
    return _GROUPED.sub(lambda match: match[0].replace(",", ""), text)


def resolve(session: Session, texts: Iterable[str]) -> dict[str, str]:
    """The id that each text means: the first of its readings that the corpus has ever had, else the last. A patent that
    was erased comes behind those that are there.
    """
    meant = {text: readings(text) for text in texts}
    unsure = [reading for several in meant.values() if len(several) > 1 for reading in several]
    had = [
        set(session.scalars(select(ids).where(ids.in_(unsure)))) if unsure else set()
        for ids in (Patent.patent_id, Erasure.patent_id)
    ]
    return {
        text: next((reading for ids in had for reading in several if reading in ids), several[-1])
        for text, several in meant.items()
    }


def resolve_one(session: Session, text: str) -> str:
    """The id that a text means."""
    return resolve(session, [text])[text]
