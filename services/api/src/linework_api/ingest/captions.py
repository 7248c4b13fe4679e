"""What a figure's caption says: its label, the view, and the object that is seen.

Captions of design patents are written to a pattern that offices have kept for decades:

    FIG. 3      is a    front elevational view    of the    light device    of FIG. 1; and,
    label       verb    view                                object          the rest

So rules read them, and read them the same way every time. `docs/benchmarks.md` tells how well.
"""

import re
from dataclasses import dataclass
from string import ascii_letters

MAX_LENGTH = 4_000  # a longer paragraph is no caption; what follows is not looked at
MAX_FIGURES = 500  # numbers in one label; 'FIGS. 1-999999' is a slip of the pen


@dataclass(frozen=True, slots=True)
class Label:
    """The label at the start of a caption. 'FIGS. 3 and 4 are' has two numbers; `rest` is what follows it."""

    text: str
    numbers: tuple[str, ...]
    stated: bool  # a verb or a colon follows: the caption describes the figure, it does not merely name it
    rest: str


@dataclass(frozen=True, slots=True)
class ParsedCaption:
    """Parts of a caption as they are written; None where the caption does not tell.

    `object` is None for 'thereof' and for words that name no thing ('the embodiment of FIG. 1', 'my new
    design'): the reader takes the object of the patent's first figure, or its title.
    """

    label: str | None  # 'FIG. 3', 'FIGS. 3 and 4', '1.4', 'FIGURE'
    number: str | None  # '3'; of several figures the first
    view: str | None  # 'front elevational view'
    object: str | None  # 'light device'


def parse(caption: str) -> ParsedCaption:
    """Label, number, view and object of a caption. Never raises; text that is no caption gives Nones."""
    text = tidy(caption)
    label = split_label(text)
    view, after = _split_view(label.rest if label else text)
    if label is None:
        return ParsedCaption(None, None, view, _object_after(after) if view else None)
    if view is None and label.stated and _INTRODUCTION.match(after) is None:
        return ParsedCaption(label.text, label.numbers[0], None, None)
    return ParsedCaption(label.text, label.numbers[0], view, _object_after(after))


def tidy(text: str) -> str:
    """One line, single spaces, none before punctuation, no '; and,' at the end."""
    line = re.sub(r"\s+", " ", text[:MAX_LENGTH]).strip()
    line = re.sub(r"(?<=\S) (?=[.,;:)])", "", line)
    return _ENDING.sub("", line)


_ENDING = re.compile(r"(?:[\s;,.:]|(?<=[;,.])\s*and\b)+$", re.IGNORECASE)

# ---- label -----------------------------------------------------------------------------------------------

_NUMBER = r"\d{1,4}(?!\d)(?:\.\d{1,3}(?!\d))?(?:[A-Za-z]{1,2}(?![A-Za-z])|\([A-Za-z0-9]{1,2}\)|['′’]{1,2})?"
_RANGE = r"(?:-|–|—|to|through|thru)"
_LABEL = re.compile(
    rf"""(?P<label>
        (?:the\s+)?(?:fig(?:ure)?s?\.?|(?:re)?productions?|drawings?)\s*
        (?P<numbers>{_NUMBER}(?:\s*(?:,\s*and|,|and|&|or|{_RANGE})\s*(?:figs?\.?\s*)?{_NUMBER})*)
      | (?P<hague>\d{{1,3}}\.\d{{1,3}})
      | (?:the\s+)?(?:(?:sole|single|only|drawing)\s+)*(?:figure|fig\.?|drawing)
        (?:\s+of\s+(?:the\s+)?drawings?)?
    )
    (?P<verb>\.?(?:\s*[:–—=]|\s+-)*\s*
        (?:\b(?:is|are|shows?|illustrates?|depicts?|represents?|discloses?|provides?|presents?|displays?)\b)?)
    \s*""",
    re.IGNORECASE | re.VERBOSE,
)


def split_label(text: str) -> Label | None:
    """The label that `text` (see `tidy`) begins with, or None if it begins with none."""
    match = _LABEL.match(text)
    if match is None:
        return None
    stated = bool(match["verb"].strip(" ."))
    numbers = _expand(match["hague"] or match["numbers"] or "1")
    if not stated and (match["hague"] or not match["numbers"]):
        return None  # '1.4 mm thick', 'Drawings are in colour'
    words = re.sub(r"^the\s+", "", match["label"], flags=re.IGNORECASE).strip()
    return Label(words, numbers, stated, text[match.end() :]) if numbers else None


def _expand(text: str) -> tuple[str, ...]:
    """'1, 3-5 and 7A-7C' → 1 3 4 5 7A 7B 7C, each once, in order."""
    found: dict[str, None] = {}
    tokens = re.findall(rf"{_NUMBER}|{_RANGE}", text, re.IGNORECASE)
    for i, token in enumerate(tokens):
        if not token[0].isdigit():
            continue
        follows_range = i >= 2 and not tokens[i - 1][0].isdigit()
        for number in _range(tokens[i - 2], token) if follows_range else [token]:
            found[number] = None
        if len(found) > MAX_FIGURES:
            return ()
    return tuple(found)


def _range(first: str, last: str) -> list[str]:
    """Numbers from first to last: '3'..'5', '1.1'..'1.4' or '7A'..'7C'. Only the ends if they do not pair."""
    a, b = re.match(r"(.*?)(\d+)$", first), re.match(r"(.*?)(\d+)$", last)
    if a and b and a[1] == b[1] and 0 <= int(b[2]) - int(a[2]) <= MAX_FIGURES:
        return [f"{a[1]}{n}" for n in range(int(a[2]), int(b[2]) + 1)]
    same_stem = first[:-1] == last[:-1] and first[-1] in ascii_letters and last[-1] in ascii_letters
    if same_stem and ord(first[-1]) <= ord(last[-1]):
        return [f"{first[:-1]}{chr(c)}" for c in range(ord(first[-1]), ord(last[-1]) + 1)]
    return [first, last]


# ---- view ------------------------------------------------------------------------------------------------

_ORDINAL = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|\w+teenth|"
    r"\w+tieth|\w+ty-\w+|\d+(?:st|nd|rd|th))"
)
_LEAD = re.compile(
    rf"(?:(?:an?|the|another|yet|still|further|additional|alternat(?:e|ive)|also|each|slightly|close-?up|"
    rf"{_ORDINAL}|(?:\w+\s)?(?:photograph|drawing|rendering|image)\s+of)\s+)+(?=\S)",
    re.IGNORECASE,
)
# Words that end the part of the sentence in which a view can be named.
_BOUNDARY = (
    r"(?:of|thereof|for|from|showing|shown|taken|with|without|in|on|at|as|along|through|where\w*|which|that|"
    r"illustrat\w+|depict\w+|when|used|is|are|being|having|according|embodying)\b"
)
_VIEW_NOUN = r"(?:[\w/]+-)?views?"
_VIEW = re.compile(rf"(?P<view>(?:(?!{_BOUNDARY})(?!{_VIEW_NOUN}\b)[\w/'’-]+[\s,]+)*{_VIEW_NOUN})\b", re.IGNORECASE)
# 'FIG. 3 is a left side elevation of the chair', '1.1: Perspective'
_NOUN_AS_VIEW = (
    r"(?:perspectives?|elevations?|sections?|cross-sections?|plans?|top|bottom|front|rear|back|left|right|"
    r"side|sides|end|isometric|detail|enlargement)"
)
_VIEW_WITHOUT_NOUN = re.compile(
    rf"(?P<view>(?:(?!{_BOUNDARY})[\w/'’-]+[\s,]+){{0,8}}?{_NOUN_AS_VIEW}(?:\s+\d{{1,2}})?)"
    rf"(?=\s*(?:$|[,;.(]|{_BOUNDARY}))",
    re.IGNORECASE,
)


def _split_view(rest: str) -> tuple[str | None, str]:
    """The view that `rest` begins with, and what comes after it."""
    lead = _LEAD.match(rest)
    body = rest[lead.end() :] if lead else rest
    match = _VIEW.match(body) or _VIEW_WITHOUT_NOUN.match(body)
    if match is None:
        return None, rest
    view = match["view"].strip(" ,")
    is_bare = re.fullmatch(r"views?", view, re.IGNORECASE) is not None
    return (None if is_bare else view), body[match.end() :]


# ---- object ----------------------------------------------------------------------------------------------

_DETERMINERS = rf"(?:(?:an?|the|my|our|his|her|its|their|this|said|another|{_ORDINAL})\s+)*"
# What stands between a view and the thing: 'the first embodiment of', 'our new design for', 'a pair of'.
_PART_OF = re.compile(
    rf"""{_DETERMINERS}(?:(?!{_BOUNDARY})[\w-]+\s+){{0,3}}?
    (?:embodiments?|variations?|versions?|modifications?|configurations?|examples?|portions?|parts?|designs?|
       images?(?:\s+in\s+an?\s+sequence)?|pairs?|half|halves|sides?|surfaces?|ends?|front|rear|back|top|bottom)\s+
    (?:of|for|applied\s+to|embodied\s+in)\s+""",
    re.IGNORECASE | re.VERBOSE,
)
_DETERMINER = re.compile(rf"{_DETERMINERS}(?:(?:new|claimed|inventive|present)\s+)*", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"""\s*(?:
        ,?\s*(?:of|for|showing|illustrating|depicting)\s+
      | (?:(?:as\s+)?(?:viewed|seen)\s+)?from\s+(?=the\s+(?:front|rear|back|top|bottom|left|right)\b)
      | ,?\s*taken\s[^;]{0,80}?\sof\s+(?=(?:an?|the)\s)
      | (?=(?:the|an?|another)\s))""",
    re.IGNORECASE | re.VERBOSE,
)
_OBJECT_END = re.compile(
    r"""\s*(?:
        [,;:.()\[]
      | \b(?:show\w*|illustrat\w+|depict\w+|embod\w+|incorporating|including|comprising|featuring|having|
             wearing|holding|disclosed|described|claimed|projected|rotated|mounted|drawn|separated|made|
             used|taken|viewed?|seen|transition\w*|sequentially|
             is|are|being|which|that|where\w*|when|while|if|but|since|due|
             according|as|by|from|at|in|on|along|without|against|about|between|over|under|during|before|after|
             each|thereof|set\s+forth|design|forming\s+(?:an?|the|part))\b
      | \bof\s+(?:my|our|this|these|\d|fig(?:ure)?s?\b|reproductions?|
                  the\s+(?:present|invention|design|claimed|new|first|second|embodiment|same))
      | \bwith\s+(?:an?|the|its|my|our|one|another|respect)\b
      | \bor\s+portions?\b
      | \bto\s+(?:show|illustrate|depict)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# Words that name no thing, whatever follows them, and places, when nothing follows.
_NO_OBJECT = re.compile(
    r"""(?:(?:new|present|claimed|same|alternat(?:e|ive)|preferred|further|ornamental|disclosed|other|one)\s*)*
    (?: .*\bviews?\b.*
      | (?:designs?|embodiments?|inventions?|images?|fig(?:ure)?s?|articles?|same|portions?|parts?|sequence|
           drawings?|variations?|versions?|reproductions?|subject\s+matter|encircled|area|region|details?|
           disclosure|that|it|inventors?)\b.*
      | (?:right|left|front|rear|top|bottom|back|sides?|ends?|and|,|\s)*
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def _object_after(after: str) -> str | None:
    """The thing that a view is 'of'. `after` is the sentence from the end of the view on."""
    introduction = _INTRODUCTION.match(after)
    return _noun_phrase(after[introduction.end() :]) if introduction else None


def _noun_phrase(text: str) -> str | None:
    for _ in range(4):  # 'the first embodiment of a portion of a pair of …'
        part = _PART_OF.match(text)
        if part is None:
            break
        text = text[part.end() :]
    determiner = _DETERMINER.match(text)
    text = text[determiner.end() :] if determiner else text
    end = _OBJECT_END.search(text)
    phrase = (text[: end.start()] if end else text).strip(" ,")
    return phrase if phrase and not _NO_OBJECT.fullmatch(phrase) else None
