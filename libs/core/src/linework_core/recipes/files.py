"""The recipes' files, and how fields are overridden."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from linework_core.errors import Unprocessable
from linework_core.recipes.recipe import Recipe

FOLDER = files(__package__) / "toml"
Values = dict[str, Any]


class UnknownRecipe(Unprocessable):
    type, title = "unknown-recipe", "There is no such recipe"


class BadRecipe(Unprocessable):
    type, title = "bad-recipe", "The recipe cannot be followed"


@cache
def names() -> tuple[str, ...]:
    """The names of all recipes."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in FOLDER.iterdir() if file.name.endswith(".toml")))


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name, with some fields changed: `overrides` is a JSON merge patch (RFC 7396), so null takes a
    loss or a limit away.

    Raises UnknownRecipe, and BadRecipe for a field that does not exist or a value that it cannot have.
    """
    values = merged(_read(name), overrides or {})
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = [
            {"field": ".".join(str(part) for part in one["loc"]), "message": one["msg"]} for one in error.errors()
        ]
        first = problems[0]
        raise BadRecipe(f"{first['field'] or 'recipe'}: {first['message']}", errors=problems) from error


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Values:
    """`base` with the fields of `patch` in place of its own, table by table."""
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            old = result.get(key)
            result[key] = merged(old if isinstance(old, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _read(name: str) -> Values:
    """The file's fields on top of those of the recipe that it `extends`."""
    if name not in names():
        raise UnknownRecipe(f"There is no recipe '{name[:100]}'. Known: {', '.join(names())}.")
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    base = values.pop("extends", None)
    own = {"name": name, **values}
    return merged(_read(base), own) if base else own
