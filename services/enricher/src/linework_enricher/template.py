"""Descriptions without a model: sentences made of the facts, of names that follow by rule, and of Locarno's headings.

They are English, true as far as the facts are, and say nothing of shapes, for nobody has looked at the drawing. The
same view sentences complete what a model wrote for a whole design without looking at its drawings.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from linework_core.views import VIEW_CLASSES, view_class
from linework_enricher.check import clean, near
from linework_enricher.facts import Facts
from linework_enricher.naming import Naming, a, is_plural, naming, plain, plural, singular
from linework_enricher.texts import Text

PROVIDER = "template"
VERSION = "2"  # a change of any sentence or rule makes another recipe
LANGUAGE = "en"

# How else a view of a class is called, and how the object is seen in it
_VIEWS = {
    "perspective": (("three-dimensional view",), "seen at an angle, so that more than one side shows"),
    "section": (("cut-away view",), "cut open"),
    "front": (("front elevation", "front view"), "seen from the front"),
    "rear": (("back elevation", "view of the back"), "seen from behind"),
    "left": (("side elevation", "side view"), "seen from its left side"),
    "right": (("side elevation", "side view"), "seen from its right side"),
    "side": (("side elevation", "lateral view"), "seen from one side"),
    "top": (("plan view", "view of the upper side"), "seen from above"),
    "bottom": (("view of the underside",), "seen from below"),
}
_LONGEST_NAME = 120  # characters: longer 'names' are sentences that a caption parser failed on

_CLASSED = (
    "This is a drawing of {a}, classified as {subclass}.",
    "In the Locarno Classification {the} belong{s} to {code}, {subclass}.",
    "{A} from the field of {main}.",
)
_CLASSED_BROADLY = (
    "This is a drawing of {a}, classified as {main}.",
    "In the Locarno Classification {the} belong{s} to class {code}, {main}.",
)
_OTHER_CLASS = ("This is a drawing of {a}, classified as {code}.", "{A} from a collection's class {code}.")
_TITLED = ("The design shown here bears the title {title}.", "{A}, which the patent's title calls {title}.")
_TITLED_OTHERWISE = (
    "Going by the title, {the} may also be called {synonym_a}.",
    "{Synonym} is the title in other words; the drawing shows {a}.",
)
_FURTHERED = ("{Heads} {further}: that is how the title describes the object.",)
_INVERTED = ("A catalogue would list this design as {inverted}.",)
_SYNONYMS = (
    "{A} can also be referred to as {synonym_a}.",
    "{Synonym} is another name for what this drawing of {a} shows.",
    "Some would call {the} drawn here {synonym_a}.",
    "Whoever looks for {synonym_a} may mean {a} like this one.",
    "{A}, or in other words {synonym_a}.",
    "{Synonym} and {name} are names for the same kind of goods.",
)
_KINDS = ("Seen more broadly, {a} is a sort of {kind}.", "A drawing of {kind_a}, namely {a}.")
# Sentences that need nothing but a name, the more telling ones first
_PLAIN = (
    "An ornamental design for {a}.",
    "The object shown is {a}.",
    "A line drawing of {a} from a design patent.",
    "Technical illustration showing the outline and the surface of {a}.",
    "What is protected is how {the} look{s}, not how {it} work{s}.",
    "A search for {plural} should find this drawing.",
    "Product design: {name}.",
    "The figure depicts {a} and the arrangement of {its} parts.",
    "Compare it with other {plural} by contour and proportions.",
    "Industrial design drawing in the field of {plural}.",
    "One of the figures in which an applicant discloses {a}.",
    "Visible features of {a}, drawn in plain lines.",
    "The silhouette in this picture is that of {a}.",
    "Prior art for later {plural}.",
    "Shape and decoration of {a}.",
    "{A} as filed with a patent office.",
    "Here a designer presents {a}.",
    "Lines mark the edges of {the} and where {its} parts meet.",
    "Appearance, form and styling of {plural}.",
    "A picture without colour of {a}.",
    "Look here for the exterior of {a}.",
    "Examiners would compare {a} of this design with earlier {plural}.",
    "This page belongs to the registration of {a}.",
    "Makers of {plural} may want to know this design.",
    "Design right claimed in the overall impression of {a}.",
    "Reference image: {name}.",
)


def texts(facts: Facts, count: int = 20) -> list[Text]:
    """`count` texts, the most telling first; fewer only where `count` is above about 25."""
    named = _named(facts)
    first = chain(_viewed(facts, named), _classed(facts, named), _titled(facts, named), _renamed(named))
    plain_ones = (_filled(sentence, named) for sentence in _PLAIN)
    return _different(chain(first, plain_ones), count)


def joined(shared: Sequence[Text], facts: Facts, count: int) -> list[Text]:
    """The texts of one drawing from those of its design: its own view sentences first, then the shared ones.

    If these are too few, the template's other texts complete the set.
    """
    own = _viewed(facts, _named(facts))
    several = chain((Text(one, LANGUAGE) for one in own), shared, texts(facts, count))
    return _kept(several, count)


def to_ask_for(count: int) -> int:
    """How many texts to ask for once per design, where `joined` adds a drawing's own."""
    return count - min(4, count // 5)


def _named(facts: Facts) -> Naming:
    name = clean(facts.name)
    return naming(name if 0 < len(plain(name)) <= _LONGEST_NAME and re.search(r"\w", name) else "article")


def _viewed(facts: Facts, named: Naming) -> Iterator[str]:
    """What tells this drawing from the others of its design."""
    view = _view(facts)
    if view is None:
        yield from _possible_views(facts, named)
        return
    yield _filled("This is a drawing of {a}, shown in {view}.", named, view=_one(view))
    yield _filled("{View} of {a}.", named, view=view)
    kind = view_class(view)
    others, seen = _VIEWS.get("side" if kind == "other" and "side" in view.split() else str(kind), ((), None))
    if seen:
        yield _filled("{The} {is} {seen}.", named, seen=seen)
    if other := next((one for one in others if one not in view), None):
        yield _filled("{Other} of the design of {a}.", named, other=other)


def _possible_views(facts: Facts, named: Naming) -> Iterator[str]:
    """Views that the design is shown in, where it is not certain which of them this drawing is."""
    found = {view_class(caption) for caption in facts.captions}
    views = [one for one in VIEW_CLASSES if one in found and one != "other"]
    if len(views) > 1:
        listed = f"{', '.join(views[:-1])} and {views[-1]}"
        yield _filled("A drawing of {a}, of which the design has {views} views.", named, views=listed)
    elif views:
        yield _filled("A drawing of {a}, of which the design has {views}.", named, views=_one(f"{views[0]} view"))


def _view(facts: Facts) -> str | None:
    """The view as a phrase: 'Perspective' → 'perspective view'."""
    view = plain(clean(facts.view)) if facts.view and facts.view.strip() else ""
    if not re.search(r"\w", view) or len(view) > _LONGEST_NAME:
        return None
    return view if re.search(r"\b(?:views?|elevations?|sections?|plan|drawings?)\b", view) else f"{view} view"


def _classed(facts: Facts, named: Naming) -> Iterator[str]:
    code, main, subclass = (clean(told) if told else None for told in _class(facts))
    if not code:
        return
    if main is None:
        if singular(code) != singular(named.name):
            yield from (_filled(sentence, named, code=f"'{code}'") for sentence in _OTHER_CLASS)
        return
    if subclass is None:
        yield from (_filled(one, named, code=code.split("-")[0], main=_lower(main)) for one in _CLASSED_BROADLY)
        return
    values = {"code": code, "main": _lower(main), "subclass": _lower(subclass)}
    if singular(values["subclass"]) == singular(named.name):  # 'a garment, classified as garments' says nothing
        values["subclass"] = values["main"]
    yield from (_filled(sentence, named, **values) for sentence in _CLASSED)


def _class(facts: Facts) -> tuple[str | None, str | None, str | None]:
    return facts.locarno, facts.locarno_class, facts.locarno_subclass


def _titled(facts: Facts, named: Naming) -> Iterator[str]:
    title = plain(clean(facts.title)) if facts.title else ""
    if re.search(r"\w", title) and len(title) <= _LONGEST_NAME and singular(title) != singular(named.name):
        yield from (_filled(sentence, named, title=f"'{title}'") for sentence in _TITLED)
        others = (one for one in naming(title).synonyms if one not in named.synonyms)
        for sentence, synonym in zip(_TITLED_OTHERWISE, others, strict=False):
            yield _filled(sentence, named, synonym=synonym, synonym_a=a(synonym))
    elif named.further:
        yield from (
            _filled(sentence, named, heads=plural(named.head), further=named.further) for sentence in _FURTHERED
        )


def _renamed(named: Naming) -> Iterator[str]:
    for sentence, synonym in zip(_SYNONYMS, named.synonyms, strict=False):
        yield _filled(sentence, named, synonym=synonym, synonym_a=a(synonym))
    for sentence, kind in zip(_KINDS, named.kinds, strict=False):
        yield _filled(sentence, named, kind=kind, kind_a=a(kind))
    if named.inverted:
        yield from (_filled(sentence, named, inverted=f"'{named.inverted}'") for sentence in _INVERTED)


def _filled(sentence: str, named: Naming, **values: str) -> str:
    """The sentence with its words put in; '{The}' is '{the}' with a capital, and verbs agree with the name."""
    several = is_plural(named.name)
    words = {"name": named.name, "a": a(named.name), "the": f"the {named.short}", "plural": plural(named.name)}
    words |= {"is": "are" if several else "is", "s": "" if several else "s"}
    words |= {"it": "they" if several else "it", "its": "their" if several else "its"} | values
    return re.sub(r"\{(\w+)\}", lambda match: _word(match[1], words), sentence)


def _word(asked: str, words: dict[str, str]) -> str:
    word = words[asked[0].lower() + asked[1:]]
    return word if asked[0].islower() else word[:1].upper() + word[1:]


def _one(view: str) -> str:
    """With its article, unless the caption gave one or several views are meant."""
    return view if re.match(r"(?:an?|the|one)\b", view) or is_plural(view) else a(view)


def _lower(heading: str) -> str:
    """A heading within a sentence: 'Other parts of vehicles' → 'parts of vehicles'."""
    return re.sub("^other ", "", heading[:1].lower() + heading[1:])


def _different(sentences: Iterable[str], count: int) -> list[Text]:
    return _kept((Text(clean(sentence), LANGUAGE) for sentence in sentences), count)


def _kept(several: Iterable[Text], count: int) -> list[Text]:
    kept: list[Text] = []
    for text in several:
        if len(kept) >= count:
            break
        if not any(near(text.text, other.text) for other in kept):
            kept.append(text)
    return kept
