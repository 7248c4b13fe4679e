"""The losses that a stage may add up, each with its own fields. What they compute: linework_trainer.losses."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Label = Literal["patents", "subclasses", "classes", "categories"]
Level = Literal["patents", "subclasses", "classes"]


class LossPart(BaseModel):
    """`weight` counts where losses are summed; under 'uncertainty' weights are learned."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(1.0, gt=0)

    @property
    def needs_texts(self) -> bool:
        return False

    def components(self, key: str) -> dict[str, float]:
        """The names of what it computes, each with its weight. `key` is its key in the recipe."""
        kind: str = getattr(self, "kind")  # noqa: B009  # every loss has one, of a type of its own
        return {kind: self.weight}


class Clip(LossPart):
    """L_clip of Lo et al. 2024, eq. 1. As printed it has one direction, 'drawing-to-text'."""

    kind: Literal["clip"]
    direction: Literal["both", "drawing-to-text"] = "both"

    @property
    def needs_texts(self) -> bool:
        return True


class Classwise(LossPart):
    """L_cls (over subclasses) or L_cat (over categories: head and tail) of Lo et al. 2024, eq. 2."""

    kind: Literal["classwise"]
    over: Label = "subclasses"

    @property
    def needs_texts(self) -> bool:
        return True

    def components(self, key: str) -> dict[str, float]:
        return {key: self.weight}


class ArcFace(LossPart):
    kind: Literal["arcface"]
    over: Label = "patents"
    margin: float = Field(0.5, ge=0, lt=3.14, description="radians")
    scale: float = Field(64.0, gt=0)


class Classification(LossPart):
    kind: Literal["classification"]
    over: Label = "patents"
    scale: float = Field(16.0, gt=0)


class Contrastive(LossPart):
    """PatentNet's eq. 4. `hardest` negatives of each drawing count; null: all."""

    kind: Literal["contrastive"]
    over: Label = "patents"
    margin: float = Field(0.7, gt=0)
    hardest: int | None = Field(5, gt=0)


class Triplet(LossPart):
    kind: Literal["triplet"]
    over: Label = "patents"
    margin: float = Field(0.5, gt=0)
    hardest: int | None = Field(5, gt=0)


class Hierarchy(LossPart):
    """Multi-positive contrast among drawings on each level, with the level's weight."""

    kind: Literal["hierarchy"]
    levels: dict[Level, Annotated[float, Field(gt=0)]] = Field(
        {"patents": 1.0, "subclasses": 0.5, "classes": 0.25}, min_length=1
    )

    def components(self, key: str) -> dict[str, float]:
        return {level: self.weight * weight for level, weight in self.levels.items()}


class Rotation(LossPart):
    """RotNet: by how many quarter turns was the drawing turned? Trains the backbone alone, and stands alone."""

    kind: Literal["rotation"]


Loss = Annotated[
    Clip | Classwise | ArcFace | Classification | Contrastive | Triplet | Hierarchy | Rotation,
    Field(discriminator="kind"),
]
