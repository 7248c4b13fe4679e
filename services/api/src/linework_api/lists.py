"""One rule for lists in query strings and forms: values are repeated, or have commas between.

A value that has a comma of its own stands in double quotes, as in CSV: `locarno="Plate, Round",14`.
"""

import csv
from collections.abc import Iterable, Sequence
from typing import Any, get_origin

from pydantic import BaseModel

from linework_core import patent_ids

PATENTS = frozenset({"exclude"})  # lists of patents, whose numbers may have commas between their digits
NO_LISTS = frozenset({"image", "crop"})  # a crop's commas are its own


def names_of(model: type[BaseModel]) -> frozenset[str]:
    """The model's fields that are lists by this rule."""
    lists = (name for name, field in model.model_fields.items() if get_origin(field.annotation) is list)
    return frozenset(lists) - NO_LISTS


def parted(name: str, values: Sequence[Any]) -> list[Any]:
    """The values of a list as it was sent; what is no text is left to the model."""
    return [part for value in values for part in _parts(name, value)]


def _parts(name: str, value: Any) -> Iterable[Any]:
    if not isinstance(value, str) or not ("," in value or '"' in value):
        return [value]
    text = patent_ids.ungrouped(value) if name in PATENTS else value
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error:  # a quote that does not end, or a line that does
        return [value]
    return [part.strip() for row in rows for part in row]
