"""The Locarno Classification's headings, as data: what a class like '14-02' means in words.

The headings are those of edition 13, shortened. Subclasses that later editions vacated keep their last heading, so that
older patents are understood; a subclass that the list lacks is still known by its class.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

EDITION = "13"
MISCELLANEOUS = "Miscellaneous"  # the heading of every subclass 99
_CODE = re.compile(r"(?:(\d{2})(\d{2})|(\d{1,2})(?:\s*[-–.]\s*(\d{1,2}))?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Heading:
    """`code` as '14-02', or '14' where no subclass was given; `subclass` is None where the list has no such one."""

    code: str
    main: str
    subclass: str | None


def lookup(code: str | None) -> Heading | None:
    """The headings of '14-02', '1402', '2-3' or '14'; None for anything else ('D14', 'Baseplate', '33-01')."""
    match = _CODE.fullmatch(code.strip()) if code else None
    if match is None:
        return None
    main, sub = match[1] or match[3], match[2] or match[4]
    main = main.zfill(2)
    if main not in headings():
        return None
    whole = f"{main}-{sub.zfill(2)}" if sub else main
    return Heading(whole, headings()[main], headings().get(whole) if sub else None)


@cache
def headings() -> dict[str, str]:
    """All headings by their codes, '14' and '14-02', in the order of the classification."""
    lines = files("linework_core").joinpath("locarno.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))
