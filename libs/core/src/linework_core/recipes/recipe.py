"""What a recipe says. Every field can be overridden by itself; a field that does not exist is refused."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from linework_core.recipes.augmentation import Augmentation
from linework_core.recipes.losses import Label, Loss

# A key of a table, which is a component's name in reports, and part of a parameter's name
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00]+$")]
Mean = tuple[float, float, float]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Model(Part):
    """The network. Its vector has the backbone's dimension, the text tower's, or `dimension` where that is given."""

    backbone: Name = Field(description="as a paper calls it ('resnet50'), as timm does, or 'open_clip:NAME'")
    weights: Literal["imagenet", "scratch"] = Field("scratch", description="'imagenet': what a model hub has")
    pooling: Literal["backbone", "gem"] = "backbone"
    head: Literal["linear", "mlp", "whitening"] = "linear"
    dimension: int | None = Field(None, gt=0, le=3900)
    image_size: int = Field(224, ge=16, le=1024, description="pixels, both ways")
    fit: Literal["whole-on-white", "ink-on-white"] = Field(
        "whole-on-white", description="'ink-on-white' cuts off the empty paper around a drawing first"
    )
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: Mean = (0.5, 0.5, 0.5)
    std: Mean = (0.5, 0.5, 0.5)


class Texts(Part):
    """What drawings are compared with: one text a drawing and step, drawn at random from its source.

    title         the patent's
    caption       the figure's caption where it is certain, else the patent's title
    descriptions  what enrichment wrote; of one provider, or with a captioner (or without), if that is asked for
    """

    tower: Name = Field("minilm", description="frozen: 'minilm', or 'open_clip:NAME/PRETRAINED'")
    head: Literal["linear", "mlp"] | None = Field(None, description="projects the tower's features, too")
    source: Literal["title", "caption", "descriptions"] = "descriptions"
    provider: Literal["template", "openai"] | None = None
    captioner: bool | None = None
    most: int | None = Field(None, ge=1, description="of a drawing's descriptions, only so many, the first of them")


class Stage(Part):
    """One part of a training, with losses and an optimiser of its own. It begins with the weights of the stage before.

    `batch_size` counts the drawings of one loss, over all processes. They go through the network `chunk` at a time:
    features first, then again with the loss's gradients (Gao et al. 2021), so a large batch needs little memory.
    `accumulate` adds up the gradients of so many batches before a step.
    """

    losses: dict[Key, Loss] = Field(min_length=1)
    combine: Literal["sum", "uncertainty"] = "sum"
    temperature: float = Field(0.07, gt=0.01, le=10)
    epochs: int = Field(20, gt=0, le=100_000)
    images: int | None = Field(None, gt=0, description="drawings to be seen in all, instead of epochs")
    batch_size: int = Field(128, ge=2, le=2**17)
    chunk: int | None = Field(None, ge=1)
    accumulate: int = Field(1, ge=1, le=1024)
    together: int = Field(1, ge=1, le=256, description="drawings of one patent that come in the same batch")
    optimiser: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the rate grows")
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float | None = Field(1.0, gt=0, description="longest gradient; longer ones are shortened to it")

    def components(self) -> dict[str, float]:
        """The names of all that its losses compute, each with its weight."""
        parts = [loss.components(key) for key, loss in self.losses.items()]
        return {name: weight for part in parts for name, weight in part.items()}

    @property
    def trains_backbone_alone(self) -> bool:
        return any(loss.kind == "rotation" for loss in self.losses.values())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        kinds = [loss.kind for loss in self.losses.values()]
        if "rotation" in kinds and len(kinds) > 1:
            raise ValueError("The loss 'rotation' trains the backbone alone: give it a stage of its own.")
        names = [name for key, loss in self.losses.items() for name in loss.components(key)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"Two losses are called {', '.join(twice)}; only 'classwise' ones go by their keys.")
        if self.together > self.batch_size:
            raise ValueError("'together' is part of a batch: it cannot be more than 'batch_size'.")
        return self


class Validation(Part):
    """Patents kept back, to see how well drawings find those of the same patent (or subclass): mAP."""

    share: float = Field(0.05, ge=0, lt=1, description="of the patents; 0 keeps none back")
    drawings: int = Field(2000, ge=2, le=100_000, description="at most so many of their drawings are looked at")
    relevant: Literal["patents", "subclasses"] = "patents"
    every: int = Field(1, ge=1, description="epochs between two looks")
    patience: int | None = Field(None, ge=1, description="stop after so many looks without gain, and keep the best")


class Recipe(Part):
    """A whole training. docs/training.md tells of each."""

    name: Name
    about: str = Field(description="which row of which paper this is, and how it differs")
    seed: int = Field(0, ge=0, lt=2**32)
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="'auto': bf16 where that is faster")
    head_share: float = Field(0.4, gt=0, le=1, description="share of the subclasses that are the head")
    model: Model
    texts: Texts | None = None
    augmentation: Augmentation = Augmentation()
    stages: dict[Key, Stage] = Field(min_length=1)
    validation: Validation = Validation()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted = [name for name, stage in self.stages.items() if any(one.needs_texts for one in stage.losses.values())]
        if wanted and self.texts is None:
            raise ValueError(f"Stage '{wanted[0]}' compares drawings with texts: say in 'texts' where they come from.")
        if self.model.head != "linear" and self.model.dimension is None and (self.texts is None or self.texts.head):
            raise ValueError(f"A head '{self.model.head}' needs 'model.dimension', the dimension that it ends in.")
        if self.texts is not None and self.texts.head is not None and self.model.dimension is None:
            raise ValueError("A text head needs 'model.dimension', the dimension that both heads end in.")
        for name, stage in self.stages.items():
            if self.texts and self.texts.head and not (name in wanted or stage.trains_backbone_alone):
                raise ValueError(f"Stage '{name}' has no loss that would train the text head.")
        return self


__all__ = ["Augmentation", "Label", "Loss", "Model", "Recipe", "Stage", "Texts", "Validation"]
