"""The names of an object: its own, and others that follow from it by rule.

The rules are morphology (singular and plural, 'X for Y' turned into 'Y X', the catalogue's inversion 'lamp, desk', the
head words) and a short list of synonyms. They know words, not objects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import inflect

_ENGINE = inflect.engine()
_LEGAL = re.compile(
    r"\s*,?\s*\b(?:or|and) (?:(?:a )?portions?|parts?) (?:thereof|of (?:it|the same))\b"
    r"|\s*,?\s*\b(?:or|and) (?:the like|similar (?:articles?|products?|objects?|items?)|like articles?)\b"
    r"|^\s*(?:a |the )?(?:portion|part) of (?:an? |the )?"
    r"|^\s*(?:an? |the )?(?:ornamental )?designs? (?:for|of) (?:an? |the )?"
    r"|^\s*(?:an?|the|one) (?=\w)",
    re.IGNORECASE,
)
_FURTHER = re.compile(
    r"\s*,?\s+(for|with|having|including|of|in|on|to|from|comprising|incorporating)\s+", re.IGNORECASE
)
_JOINED = re.compile(r"\s(?:and|or|&)\s|/", re.IGNORECASE)
_MASS = re.compile(r"(?:ware|wear|clothing|equipment|luggage|furniture|jewell?ery|packaging|apparel|cutlery|lighting)$")
_SINGULAR = re.compile(r"(?:ss|us|is|lens|gas|canvas|atlas|series|chassis)$")
_SPELT_WITH_A_VOWEL = re.compile(r"[FHLMNRSX][A-Z]{1,3}\b")  # 'an LED lamp'
# Words that name no kind of object by themselves
_VAGUE = frozenset({
    "article", "apparatus", "appliance", "assembly", "component", "design", "device", "element", "equipment", "fixture",
    "implement", "instrument", "item", "kit", "machine", "member", "object", "part", "piece", "portion", "product",
    "set", "structure", "system", "tool", "unit",
})  # fmt: skip
_NOT_OF_ITS_KIND = frozenset(
    {"toy", "model", "artificial", "imitation", "dummy", "simulated", "faux", "miniature", "doll"}
)


@dataclass(frozen=True, slots=True)
class Naming:
    """`name` as it stands within a sentence ('LED lamp', 'shoe midsole and outsole'), and other names for it."""

    name: str
    head: str  # 'filter' of 'filter for water treatment system'
    further: str | None  # 'with a side pocket'
    synonyms: tuple[str, ...]
    kinds: tuple[str, ...]  # broader ones: 'light' of 'stage light'
    inverted: str | None  # 'light, stage'

    @property
    def short(self) -> str:
        """For a second mention: 'the filter', but not 'the set' for a set of knives."""
        return self.name if singular(self.head) in _VAGUE else self.head

    @property
    def known(self) -> tuple[str, ...]:
        """All names, the object's own first."""
        heads = () if singular(self.head) in _VAGUE else (self.head,)
        return (self.name, *heads, *self.synonyms, *self.kinds)


@lru_cache(maxsize=4096)
def naming(told: str) -> Naming:
    """The names of what a title or a caption calls `told`."""
    name = plain(told)
    parts = _FURTHER.split(name, maxsplit=1)
    head, further = (parts[0], f"{parts[1].casefold()} {parts[2]}") if len(parts) == 3 else (name, None)
    others = _distinct(name, [*_turned(head, further), *_synonyms(head, further), *_synonyms_within(head, further)])
    if _JOINED.search(head):  # 'fan and light mounting system': what is joined to what, no rule can tell
        return Naming(name, head, further, others, (), None)
    kinds = tuple(kind for kind in _kinds(head) if singular(kind) not in map(singular, others))
    return Naming(name, head, further, others, kinds, _inverted(head))


def plain(told: str) -> str:
    """A title as a phrase within a sentence: 'Display screen or portion thereof' → 'display screen'."""
    bare = re.sub(r"[“”\"]", "", re.sub(r"\s+", " ", told))
    phrase = _LEGAL.sub("", bare).strip(" .,;:") or told.strip()
    return " ".join(word if _keeps_capitals(word) else word.lower() for word in phrase.split())


@lru_cache(maxsize=4096)
def a(name: str) -> str:
    """'an LED lamp'; no article where the name is a plural or of a mass ('headphones', 'footwear')."""
    if is_plural(name) or _is_mass(name):
        return name
    return f"an {name}" if _SPELT_WITH_A_VOWEL.match(name) else str(_ENGINE.a(name))


@lru_cache(maxsize=4096)
def plural(name: str) -> str:
    """'lamps for desks' is more than a rule can know: the head is put into the plural, 'lamps for desk'."""
    if is_plural(name) or _is_mass(name):
        return name
    parts = _FURTHER.split(name, maxsplit=1)
    head, rest = (parts[0], name[len(parts[0]) :]) if len(parts) == 3 else (name, "")
    words = head.split()
    return " ".join([*words[:-1], str(_ENGINE.plural_noun(words[-1]) or words[-1])]) + rest


@lru_cache(maxsize=4096)
def singular(name: str) -> str:
    """The last word in the singular, for comparing names."""
    words = name.casefold().split()
    if words and words[-1].endswith("s") and not _SINGULAR.search(words[-1]):
        words[-1] = str(_ENGINE.singular_noun(words[-1]) or words[-1])
    return " ".join(words)


def is_plural(name: str) -> bool:
    head = _FURTHER.split(name, maxsplit=1)[0].casefold()
    return head.endswith("s") and not _SINGULAR.search(head)


def _is_mass(name: str) -> bool:
    return bool(_MASS.search(_FURTHER.split(name, maxsplit=1)[0].casefold()))


def _keeps_capitals(word: str) -> bool:
    """'LED', 'e-SIM', 'T-shirt', but neither 'Lamp' nor a whole title in capitals' long words."""
    letters = re.sub(r"[^A-Za-z]", "", word)
    return (
        (letters.isupper() and len(letters) <= 4) or bool(re.match(r"[A-Z]-[a-z]", word)) or not letters[1:].islower()
    )


def _turned(head: str, further: str | None) -> Iterator[str]:
    """'filter for water treatment system' → 'water treatment system filter'."""
    if further and further.startswith("for "):
        purpose = re.sub(r"^(?:an? |the )", "", further[4:])
        if len(purpose.split()) <= 3 and not _FURTHER.search(f" {purpose} ") and not is_plural(purpose):
            yield f"{purpose} {head}"


def _synonyms(head: str, further: str | None) -> Iterator[str]:
    """Names from the list, for the whole or for its longest end that has any: 'desk lamp' → 'desk light'."""
    words, rest = head.split(), f" {further}" if further else ""
    for start in range(len(words)):
        end = " ".join(words[start:]).casefold()
        others = synonyms().get(end) or synonyms().get(singular(end), ())
        for other in others:
            yield " ".join([*words[:start], plural(other) if is_plural(head) else other]) + rest
        if others:
            break
    if "-" in head:
        yield head.replace("-", " ") + rest


def _synonyms_within(head: str, further: str | None) -> Iterator[str]:
    """'display screen with graphical user interface' → 'display screen with GUI'."""
    words = further.split() if further else []
    for start in range(1, len(words)):
        for other in synonyms().get(" ".join(words[start:]).casefold(), ()):
            before = words[:start]
            named = a(other).split() if before[-1] in ("a", "an") else [before[-1], other]
            yield " ".join([head, *before[:-1], *named])


def _kinds(head: str) -> tuple[str, ...]:
    words = head.split()
    if len(words) < 2 or _NOT_OF_ITS_KIND & {word.casefold() for word in words}:
        return ()
    pairs = [" ".join(words[-2:])] if len(words) > 2 and not words[-2].endswith("ing") else []
    last = [] if singular(words[-1]) in _VAGUE else [words[-1]]
    return (*pairs, *last)


def _inverted(head: str) -> str | None:
    words = head.split()
    return f"{words[-1]}, {' '.join(words[:-1])}" if len(words) > 1 else None


def _distinct(name: str, others: list[str]) -> tuple[str, ...]:
    kept = {singular(name): name}
    for other in others:
        if not _stutters(other):
            kept.setdefault(singular(other), other)
    return tuple(kept.values())[1:]


def _stutters(name: str) -> bool:
    """'display display panel' came of a synonym that repeats the word before it."""
    words = [singular(word) for word in name.split()]
    return len(set(words)) < len(words)


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    lines = files("linework_enricher").joinpath("synonyms.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {name: tuple(other.strip() for other in others.split(",")) for name, others in rows}
