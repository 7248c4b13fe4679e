"""Facts for tests, with whatever a test cares about."""

from dataclasses import replace
from typing import Any

from linework_enricher.facts import Facts

LAMP = Facts(
    drawing_row=1,
    drawing_id="USD0900001-20200101-D00001_1",
    patent_id="USD0900001",
    derivative="ab" * 32,
    title="Desk lamp",
    object="desk lamp",
    view="front elevational view",
    label="FIG. 2",
    caption="FIG. 2 is a front elevational view thereof",
    locarno="26-05",
    locarno_class="Lighting apparatus",
    locarno_subclass="Lamps, standard lamps, chandeliers",
    claim="The ornamental design for a desk lamp, as shown and described.",
)


def facts(**told: Any) -> Facts:
    return replace(LAMP, **told)


def bare(**told: Any) -> Facts:
    """Nothing is known but what is told here."""
    return Facts(1, "X1-S_1", "X1", "ab" * 32, **told)
