"""What a caller asks for with POST /train, and what the job then carries."""

import datetime as dt
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from linework_core.recipes.files import load_recipe
from linework_core.recipes.recipe import Recipe
from linework_core.scope import DateBasis, Scope

Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
DEEPEST = 8  # no recipe's fields lie deeper


class TrainingOrder(BaseModel):
    """Which recipe, and on which drawings. An undated drawing passes no date filter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Text = Field(description="its name")
    overrides: dict[str, Any] = Field(
        {}, description="fields of the recipe to change, as a JSON merge patch: {'stages': {'main': {'epochs': 5}}}"
    )
    name: Text | None = Field(None, max_length=100, description="of the encoder; the recipe's by default")
    before: dt.date | None = Field(None, description="train on nothing published on or after this day")
    after: dt.date | None = Field(None, description="train on nothing published before this day")
    date_basis: DateBasis = "granted"
    locarno: list[Text] = Field([], max_length=100, description="classes ('14') and subclasses ('14-02')")
    office: list[Text] = Field([], max_length=100)
    licence: Text = Field("Apache-2.0", description="of the weights")
    attributions: list[Text] = Field([], max_length=100, description="for the model card")

    @field_validator("overrides")
    @classmethod
    def _can_be_kept(cls, overrides: dict[str, Any]) -> dict[str, Any]:
        """What a database holds: no NUL, no NaN, no halves of surrogate pairs; and no deeper than a recipe is."""
        if _is_deeper(overrides, DEEPEST):
            raise ValueError("nothing in a recipe lies that deep")
        if "\\u0000" in json.dumps(overrides, allow_nan=False):
            raise ValueError("there is a NUL in it")
        json.dumps(overrides, ensure_ascii=False).encode()
        return overrides

    def load_recipe(self) -> Recipe:
        """Raises UnknownRecipe, BadRecipe."""
        return load_recipe(self.recipe, self.overrides)

    def scope(self, snapshot: int) -> Scope:
        """The drawings that are meant, as of a snapshot."""
        return Scope(
            snapshot,
            before=self.before,
            after=self.after,
            date_basis=self.date_basis,
            locarno=tuple(self.locarno),
            office=tuple(self.office),
        )


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
