"""Classes of views, by which searches filter and count: captions name the same view in many ways."""

import re
from typing import Literal, get_args

ViewClass = Literal["perspective", "front", "rear", "left", "right", "top", "bottom", "section", "other"]
VIEW_CLASSES: tuple[ViewClass, ...] = get_args(ViewClass)

# The first that is found counts: 'front, top and left side perspective view' is a perspective view,
# 'sectional view of the front' a section.
_WORDS: tuple[tuple[ViewClass, str], ...] = (
    ("perspective", r"perspective|isometric|oblique|three[- ]quarter"),
    ("section", r"(cross[- ])?section(al)?"),
    ("front", r"front"),
    ("rear", r"rear|back"),
    ("left", r"left"),
    ("right", r"right"),
    ("bottom", r"bottom|underside|underneath"),
    ("top", r"top|plan|overhead"),
)
_PATTERNS = tuple((name, re.compile(rf"\b({words})\b", re.IGNORECASE)) for name, words in _WORDS)


def view_class(view: str | None) -> ViewClass | None:
    """The class of a view's name ('rear elevational view' → 'rear'); None where no view is named."""
    if not view:
        return None
    return next((name for name, pattern in _PATTERNS if pattern.search(view)), "other")
