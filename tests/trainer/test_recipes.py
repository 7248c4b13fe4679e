"""The recipes' files: that all can be followed, and that nothing misspelt is."""

from typing import Any

import pytest
import torch

from linework_core.recipes import BadRecipe, Recipe, UnknownRecipe, load_recipe, names
from linework_trainer.data.labels import make_labels
from linework_trainer.losses import LossBatch
from linework_trainer.training.building import checkpoint_config, make_net, make_objective, make_optimiser
from linework_vision.text_tower import TextTowerRef

SMALL = {"model": {"weights": "scratch", "image_size": 64}}
IMAGE_SIZE = {"swinv2-b": 256, "sketch-a-net": 225}
HEAVY = ("swinv2-b", "vit-b-32")


def small(name: str) -> Recipe:
    """The recipe with the smallest input and network that its kind allows."""
    backbone = load_recipe(name).model.backbone
    model: dict[str, Any] = {"weights": "scratch", "image_size": IMAGE_SIZE.get(backbone, 64)}
    if backbone in HEAVY:
        model |= {"backbone": "test_vit", "image_size": 64}
    return load_recipe(name, {"model": model})


@pytest.mark.parametrize("name", names())
def test_every_recipe_gives_a_network_an_optimiser_and_losses_with_gradients(name: str) -> None:
    recipe = small(name)
    tower = TextTowerRef(name="none", hash="0" * 64, dimension=24) if recipe.texts else None
    net = make_net(recipe, checkpoint_config(recipe, name, tower))
    vectors = torch.nn.functional.normalize(torch.randn(4, net.dimension), dim=1).requires_grad_()
    train = torch.ones(4, dtype=torch.bool).numpy()
    labels = make_labels(list("aabb"), ["14-01", "14-02", "14-01", "15-01"], train, recipe.head_share)
    numbers = {key: torch.from_numpy(labels.of(key)) for key in ("patents", "subclasses", "classes", "categories")}
    batch = LossBatch(drawings=vectors, texts=vectors.detach().flip(0) if tower else None, **numbers)
    for stage in recipe.stages.values():
        if stage.trains_backbone_alone:
            continue
        objective = make_objective(stage, net.dimension, labels.counts)
        make_optimiser(stage, net, objective)
        outcome = objective(batch)
        assert set(outcome.components) == set(stage.components())
        outcome.total.backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_there_is_a_recipe_for_each_row_of_the_papers() -> None:
    rows = {
        "lo2024-resnet50", "lo2024-efficientnet-b0", "lo2024-vit-b-32", "lo2024-swinv2-b", "lo2024-ablation-clip",
        "lo2024-ablation-classwise", "lo2024-ablation-texts", "lo2024-ablation-captioner", "patentnet-resnet18",
        "patentnet-resnet50", "arcface-efficientnet-b0", "arcface-swinv2-b", "sketch-a-net", "linework",
    }  # fmt: skip
    assert rows <= set(names())


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"epochs": 3}, "epochs"),
        ({"stages": {"main": {"epoch": 3}}}, "stages.main.epoch"),
        ({"stages": {"main": {"epochs": 0}}}, "stages.main.epochs"),
        ({"stages": {"main": {"losses": {"clip": {"directions": "both"}}}}}, "directions"),
        ({"stages": {"main": {"losses": {"other": {"kind": "nonesuch"}}}}}, "nonesuch"),
        ({"stages": {"main": {"losses": {"again": {"kind": "clip"}}}}}, "Two losses"),
        ({"stages": {"other": {"epochs": 3}}}, "stages.other.losses"),
        ({"texts": None}, "texts"),
        ({"model": {"head": "mlp", "image_size": "large"}}, "image_size"),
        ({"stages": 3}, "stages"),
    ],
)
def test_a_field_that_does_not_exist_or_fit_is_refused_by_its_name(overrides: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRecipe, match=told):
        load_recipe("linework", overrides)


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownRecipe, match="patentnet-resnet18"):
        load_recipe("../linework")


def test_one_field_is_overridden_and_the_others_stay() -> None:
    before, after = load_recipe("linework"), load_recipe("linework", {"stages": {"main": {"losses": {"clip": None}}}})
    assert set(before.stages["main"].losses) - set(after.stages["main"].losses) == {"clip"}
    assert after.stages["main"].epochs == before.stages["main"].epochs
    assert after.model == before.model
