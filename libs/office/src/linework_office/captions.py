"""The words of a design: the descriptions of its figures, and its claim."""

from dataclasses import dataclass

from .design import Design

HAGUE = {"front": "Front", "rear": "Back", "left": "Left", "right": "Right", "top": "Top", "bottom": "Bottom"}
ELEVATIONAL = {
    "front": "front elevational",
    "rear": "rear elevational",
    "left": "left side elevational",
    "right": "right side elevational",
    "top": "top plan",
    "bottom": "bottom plan",
}
PLAIN = {"left": "left side", "right": "right side"}


@dataclass(frozen=True)
class Caption:
    """The description of one figure: its label as the text has it, what follows, and (the truth) view and object."""

    label: str
    text: str
    view: str
    object: str


def thing(title: str) -> str:
    """A title in mid-sentence with its article: 'a bottle', 'an umbrella', 'eyeglasses'."""
    word = title if title[1:2].isupper() else title[0].lower() + title[1:]
    if word.endswith("s") and not word.endswith("ss"):
        return word
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def view_name(design: Design, view: str) -> str:
    """How this design's drafter calls a view: 'front elevational', or 'front'; 'top, front, left side perspective'."""
    side = "left" if design.azimuth < 0 else "right"
    if view == "perspective":
        return {"elevational": "perspective", "of": f"front and {side} perspective"}.get(
            design.style, f"top, front, {side} side perspective"
        )
    if view == "rear perspective":
        return "rear, bottom perspective"
    return ELEVATIONAL[view] if design.style == "elevational" else PLAIN.get(view, view)


def captions(design: Design) -> list[Caption]:
    """One caption for each figure, in order."""
    if design.hague:
        views = [HAGUE.get(view, "Perspective") for view in design.views]
        return [
            Caption(label + " ", f": {view}", view.lower(), design.title.lower())
            for label, view in zip(design.labels, views, strict=True)
        ]
    return [_caption(design, index) for index in range(len(design.views))]


def _caption(design: Design, index: int) -> Caption:
    view = view_name(design, design.views[index])
    article = "an" if view[0] in "aeiou" else "a"
    last, one = len(design.views) - 1, thing(design.title)
    bare = one.split(" ", 1)[-1] if one.startswith(("a ", "an ")) else one
    if index == 0:
        whose = "our" if len(design.inventors) > 1 else "my"
        of = {"of": f"of {one}", "new": f"of {one} according to {whose} design"}.get(
            design.style, f"of {one}, showing {whose} new design"
        )
    else:
        of = f"of the {bare} shown in FIG. 1" if design.style == "of" else "thereof"
    end = "." if index == last else "; and," if index == last - 1 else ";"
    return Caption(design.labels[index], f" is {article} {view} view {of}{end}", f"{view} view", bare)


def statement(design: Design) -> str:
    """What the description says of the broken lines in the figures."""
    bare = design.title[0].lower() + design.title[1:]
    return (
        f"The broken lines in the drawings illustrate portions of the {bare} that form no part of the claimed design."
    )


def claim(design: Design) -> str:
    """The single claim of a design patent."""
    return f"The ornamental design for {thing(design.title)}, as shown and described."
