"""The rows of the table: recipes at one small setting that two cores can train, equal budgets of images seen."""

from dataclasses import dataclass, field
from typing import Any

from linework_core.recipes import Recipe, load_recipe

IMAGES = 30_000
SMALL = {"backbone": "mobilenetv4_conv_small", "weights": "scratch", "image_size": 112}
GREY = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `more` is merged into the overrides of the small setting."""

    name: str
    recipe: str
    more: dict[str, Any] = field(default_factory=dict)

    def overrides(self, images: int = IMAGES) -> dict[str, Any]:
        """The small setting for this recipe: its stages share the images, and all learn at one rate."""
        recipe: Recipe = load_recipe(self.recipe, {})
        each = {"images": images // len(recipe.stages), "batch_size": 128, "lr": 1e-3, "weight_decay": 0.02}
        small: dict[str, Any] = {
            "model": SMALL | GREY,
            "stages": {name: dict(each) for name in recipe.stages},
            "validation": {"share": 0.0},
        }
        if recipe.texts:
            small["texts"] = {"tower": "minilm"}
        return merged(small, self.more)


TITLES = {"texts": {"source": "title"}}
ONE_EACH = {"texts": {"source": "descriptions", "most": 1}}  # the frozen tower reads but 30 texts a second of a core
ROWS = [
    Row("PatentNet, contrastive", "patentnet-resnet18"),
    Row("PatentNet, triplet", "patentnet-resnet18-triplet"),
    Row("PatentNet, RotNet first", "patentnet-resnet18-rotnet"),
    Row("ArcFace", "arcface-efficientnet-b0"),
    Row("Lo: L_clip, titles", "lo2024-ablation-clip", TITLES),
    Row("Lo: + L_cls + L_cat, titles", "lo2024-ablation-classwise", TITLES),
    Row("Lo: L_clip, template texts", "lo2024-ablation-clip", ONE_EACH),
    Row("Lo: + L_cls + L_cat, template texts", "lo2024-ablation-template", ONE_EACH),
    Row("Linework", "linework", TITLES),
]


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7396), nulls kept: they are part of what is ordered."""
    both = {name: value for name, value in base.items() if name not in more}
    for name, value in more.items():
        old = base.get(name)
        both[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both
