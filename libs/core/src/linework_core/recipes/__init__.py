"""Recipes: what a training does, as small files, one per row of the papers. No torch: the gateway reads them, too."""

from linework_core.recipes.augmentation import Augmentation
from linework_core.recipes.files import BadRecipe, UnknownRecipe, load_recipe, names
from linework_core.recipes.losses import Label, Loss
from linework_core.recipes.order import TrainingOrder
from linework_core.recipes.recipe import Model, Recipe, Stage, Texts, Validation

__all__ = [
    "Augmentation",
    "BadRecipe",
    "Label",
    "Loss",
    "Model",
    "Recipe",
    "Stage",
    "Texts",
    "TrainingOrder",
    "UnknownRecipe",
    "Validation",
    "load_recipe",
    "names",
]
