"""What a caller asks for with POST /train, and what the job then carries."""

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from linework_core.recipes.files import load_recipe
from linework_core.recipes.recipe import Recipe
from linework_core.scope import DateBasis, Scope


class TrainingOrder(BaseModel):
    """Which recipe, and on which drawings. An undated drawing passes no date filter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$", description="its name")
    overrides: dict[str, Any] = Field(
        {}, description="fields of the recipe to change, as a JSON merge patch: {'stages': {'main': {'epochs': 5}}}"
    )
    name: str | None = Field(
        None, min_length=1, max_length=100, pattern=r"^[^\x00]+$", description="of the encoder; the recipe's by default"
    )
    before: dt.date | None = Field(None, description="train on nothing published on or after this day")
    after: dt.date | None = Field(None, description="train on nothing published before this day")
    date_basis: DateBasis = "granted"
    locarno: list[str] = Field([], max_length=100, description="classes ('14') and subclasses ('14-02')")
    office: list[str] = Field([], max_length=100)
    licence: str = Field("Apache-2.0", max_length=200, pattern=r"^[^\x00]+$", description="of the weights")
    attributions: list[str] = Field([], max_length=100, description="for the model card")

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
