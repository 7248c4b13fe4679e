"""From a recipe to a network, an objective and an optimiser."""

from collections.abc import Iterable
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from linework_core.errors import LineworkError
from linework_core.recipes import BadRecipe, Label, Recipe, Stage
from linework_core.recipes import losses as parts
from linework_trainer.losses import (
    ArcFaceLoss,
    ClassificationLoss,
    ClasswiseLoss,
    ClipLoss,
    ContrastiveLoss,
    HierarchicalLoss,
    Objective,
    Temperature,
    TripletLoss,
    UncertaintyWeighting,
    WeightedSum,
)
from linework_trainer.networks import backbone_name
from linework_vision.checkpoint import CheckpointConfig, DrawingNet
from linework_vision.errors import WeightsUnavailable
from linework_vision.pictures import Preprocessing
from linework_vision.text_tower import TextTowerRef
from linework_vision.torch_encoder import normalise


def checkpoint_config(recipe: Recipe, name: str, tower: TextTowerRef | None) -> CheckpointConfig:
    """What the trained encoder will be. Raises BadSpec, and BadRecipe for what does not fit together."""
    model = recipe.model
    shared = tower.dimension if tower is not None and not (recipe.texts and recipe.texts.head) else None
    try:
        return CheckpointConfig(
            name=name,
            backbone=backbone_name(model.backbone),
            pooling=model.pooling,
            projection=shared or model.dimension,
            head=model.head,
            preprocessing=Preprocessing(
                height=model.image_size, width=model.image_size, interpolation=model.interpolation,
                mean=model.mean, std=model.std, fit=model.fit,
            ),
            text_tower=tower,
            text_head=recipe.texts.head if recipe.texts else None,
        )  # fmt: skip
    except ValidationError as error:
        raise BadRecipe(f"The model does not fit together: {error.errors()[0]['msg']}") from error


def make_net(recipe: Recipe, config: CheckpointConfig) -> DrawingNet:
    """The network as the training begins, the same for the same seed. Raises BadSpec, WeightsUnavailable."""
    pretrained = recipe.model.weights == "imagenet"
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            return DrawingNet(config, pretrained=pretrained)
    except LineworkError:
        raise
    except Exception as error:
        if not pretrained:
            raise
        raise WeightsUnavailable(  # the hub's client, torch and safetensors each raise their own
            f"The weights of '{config.backbone}' could not be loaded: {str(error).splitlines()[0][:300]}"
            " If no model hub can be reached from here, train from scratch: {'model': {'weights': 'scratch'}}."
        ) from error


class Towers(nn.Module):
    """Both sides of the network, to unit vectors in single precision."""

    def __init__(self, net: DrawingNet, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.net = net
        self.preprocessing = preprocessing

    def forward(self, greys: Tensor, texts: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """uint8 (n, height, width) and the text tower's features (n, t), to rows of unit length (n, d) each."""
        pictures = normalise(greys, self.preprocessing).contiguous(memory_format=torch.channels_last)
        drawings = functional.normalize(self.net(pictures).float(), dim=-1)
        if texts is None:
            return drawings, None
        return drawings, functional.normalize(self.net.project_texts(texts).float(), dim=-1)


def make_objective(stage: Stage, dimension: int, counts: dict[Label, int]) -> Objective:
    """The stage's losses, and how they are added. `counts`: how many different labels are trained on."""
    temperature = Temperature(stage.temperature)  # one for all losses between drawings and texts
    losses = [_make_loss(key, part, temperature, dimension, counts) for key, part in stage.losses.items()]
    components = stage.components()
    combine = UncertaintyWeighting(components) if stage.combine == "uncertainty" else WeightedSum(components)
    return Objective(losses, combine)


def _make_loss(
    key: str, part: parts.Loss, temperature: Temperature, dimension: int, counts: dict[Label, int]
) -> nn.Module:
    match part:
        case parts.Clip():
            return ClipLoss(temperature, part.direction)
        case parts.Classwise():
            return ClasswiseLoss(temperature, part.over, key)
        case parts.Hierarchy():  # similarities among drawings are another scale than those with texts
            return HierarchicalLoss(Temperature(temperature.value), list(part.levels))
        case parts.ArcFace():
            return ArcFaceLoss(
                _classes(part.over, counts), dimension, over=part.over, margin=part.margin, scale=part.scale
            )
        case parts.Classification():
            return ClassificationLoss(_classes(part.over, counts), dimension, over=part.over, scale=part.scale)
        case parts.Contrastive():
            return ContrastiveLoss(over=part.over, margin=part.margin, hardest=part.hardest)
        case parts.Triplet():
            return TripletLoss(over=part.over, margin=part.margin, hardest=part.hardest)
    raise ValueError(f"'{key}' is no loss of features.")


def _classes(over: Label, counts: dict[Label, int]) -> int:
    if counts[over] < 2:
        raise BadRecipe(f"The drawings have {counts[over]} different {over}; to tell them apart takes two.")
    return counts[over]


def make_optimiser(stage: Stage, net: nn.Module, objective: nn.Module | None) -> torch.optim.Optimizer:
    """Weight decay shrinks matrices of the network; not its biases and norms, and nothing of the objective."""
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    free = [weight for weight in trained if weight.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in trained if weight.ndim >= 2], "weight_decay": stage.weight_decay},
        {"params": [*free, *_parameters(objective)], "weight_decay": 0.0},
    ]
    if stage.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=stage.lr, momentum=stage.momentum)
    return torch.optim.AdamW(groups, lr=stage.lr, fused=True)  # one pass over the weights instead of a dozen


def _parameters(module: nn.Module | None) -> Iterable[nn.Parameter]:
    return module.parameters() if module is not None else ()
