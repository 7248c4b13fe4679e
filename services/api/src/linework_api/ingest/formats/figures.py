"""Figures from the description of a patent's drawings."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from linework_api.ingest.captions import Label, parse, split_label, tidy
from linework_core.records import Figure


@dataclass(frozen=True, slots=True)
class Described:
    """Figures in the order in which they are first described, and how often the text departs from the pattern."""

    figures: tuple[Figure, ...]
    anomalies: dict[str, int]


# One paragraph may describe several figures: '… thereof; FIG. 3 is …'
_NEXT_FIGURE = re.compile(r"(?<=[;.])\s+(?:and,?\s+)?(?=FIGS?\.\s*\d|Figs?\.\s*\d|Figures?\s+\d)")
# '1. Belt buckle': in Hague registrations the first part of '1.4' numbers the design, and its name stands apart
_PRODUCT = re.compile(r"(\d{1,3})\.\s+(\D.{0,200})")


def describe(paragraphs: Iterable[str], title: str | None) -> Described:
    """Read the paragraphs in which a patent describes its drawings.

    A figure is described by a sentence that begins with its label ('FIG. 3 is', 'FIGS. 3 and 4 are', '1.4 : ');
    a disclaimer that mentions figures further on is no figure. Where a figure is described more than once, the
    sentence about the fewest figures counts, then the first. An object that a caption does not name ('thereof')
    is that of the patent's first figure, or else the title.
    """
    captions: dict[str, tuple[Label, str]] = {}
    products: dict[str, str] = {}
    repeated = 0
    for sentence in _sentences(paragraphs):
        label = split_label(sentence)
        if label is None:
            if product := _PRODUCT.fullmatch(sentence):
                products[product[1]] = product[2]
            continue
        if not label.stated and parse(sentence).view is None:
            continue
        for number in label.numbers:
            known = captions.get(number)
            repeated += known is not None
            if known is None or len(label.numbers) < len(known[0].numbers):
                captions[number] = (label, sentence)
    figures = [_figure(number, *caption) for number, caption in captions.items()]
    return Described(_with_objects(figures, products, title), {"repeated_figures": repeated} if repeated else {})


def unlabelled(number: str, caption: str, title: str | None) -> Figure:
    """The figure of a caption that bears no label."""
    parsed = parse(caption)
    return Figure(number, f"FIG. {number}", caption, parsed.view, parsed.object or title)


def _sentences(paragraphs: Iterable[str]) -> Iterable[str]:
    for paragraph in paragraphs:
        yield from (tidy(sentence) for sentence in _NEXT_FIGURE.split(" ".join(paragraph.split())))


def _figure(number: str, label: Label, caption: str) -> Figure:
    parsed = parse(caption)
    words = label.text if len(label.numbers) == 1 else f"FIG. {number}"
    return Figure(number=number, label=words, caption=caption, view=parsed.view, object=parsed.object)


def _with_objects(figures: list[Figure], products: dict[str, str], title: str | None) -> tuple[Figure, ...]:
    first = figures[0].object if figures else None

    def thing(figure: Figure) -> str | None:
        design, dot, _ = figure.number.partition(".")
        return figure.object or (products.get(design) if dot else None) or first or title

    return tuple(replace(figure, object=thing(figure)) for figure in figures)
