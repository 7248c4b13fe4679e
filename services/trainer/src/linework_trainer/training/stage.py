"""One stage of a training: its steps, and what it needs to go on after an interruption."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from linework_core.recipes import Stage
from linework_trainer.data.batches import Batch, Share, StageBatches, load
from linework_trainer.data.dataset import TrainingData
from linework_trainer.losses import Objective, Temperature, UncertaintyWeighting
from linework_trainer.networks import RotationTask
from linework_trainer.training.building import Towers, make_objective, make_optimiser
from linework_trainer.training.gradients import MetricGradient, RotationGradient, seed_torch
from linework_trainer.training.plan import Plan
from linework_vision.torch_encoder import normalise


class StageRun:
    """The steps of one stage. Everything in it follows from the plan, and from the weights that it begins with."""

    def __init__(
        self, number: int, name: str, plan: Plan, towers: Towers, data: TrainingData, device: torch.device, share: Share
    ) -> None:
        """Raises BadRecipe."""
        recipe = plan.recipe
        self.number, self.name, self.settings = number, name, recipe.stages[name]
        self.device, self.seed = device, (recipe.seed, number)
        self.rank = share.rank
        self.batches = StageBatches(data, self.settings, recipe.augmentation, self.seed, share)
        self.course = self.batches.course
        self._loaders = plan.loaders
        self._autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=plan.precision == "bf16")
        seed_torch((*self.seed, 4))
        self.trained, self.objective = self._modules(towers, data)
        self.optimiser = make_optimiser(self.settings, self.trained, self.objective)
        self._gradient = self._make_gradient(towers, _parallel(self.trained, plan, share))

    def _modules(self, towers: Towers, data: TrainingData) -> tuple[nn.Module, Objective | None]:
        if self.settings.trains_backbone_alone:
            task = RotationTask(towers.net.backbone, _features_of(towers)).to(self.device)
            return task, None
        return towers, make_objective(self.settings, towers.net.dimension, data.labels.counts).to(self.device)

    def _make_gradient(self, towers: Towers, module: nn.Module) -> MetricGradient | RotationGradient:
        if self.objective is None:
            normalised = partial(normalise, preprocessing=towers.preprocessing)
            return RotationGradient(module, normalised, self.settings.chunk, self._autocast)
        return MetricGradient(module, self.objective, self.settings.chunk, self._autocast)

    def load(self, first_step: int) -> Iterator[Batch]:
        """The batches from a step on."""
        first = first_step * self.course.accumulate
        return load(self.batches, first, loaders=self._loaders, device=self.device)

    def step(self, step: int, batches: Iterator[Batch]) -> dict[str, Tensor | float]:
        """Take a step, and return what there is to tell of it."""
        lr = learning_rate(self.settings, step, self.course.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        many = self.course.accumulate
        told: dict[str, Tensor | float] = {"lr": lr}
        for part in range(many):
            seed = (*self.seed, 5, step, part, self.rank)
            outcome = self._gradient(next(batches), seed, scale=1 / many, last=part == many - 1)
            losses = {"total": outcome.total} | {f"loss/{name}": loss for name, loss in outcome.components.items()}
            for name, loss in losses.items():
                told[name] = told.get(name, 0.0) + loss.detach() / many
        longest = self.settings.clip_norm or math.inf
        told["gradient"] = nn.utils.clip_grad_norm_(self._weights(), longest)
        self.optimiser.step()
        return told | self._learned()

    def _weights(self) -> list[nn.Parameter]:
        return [weight for group in self.optimiser.param_groups for weight in group["params"]]

    def _learned(self) -> dict[str, Tensor | float]:
        """The temperatures and the s_i after the step, without waiting for the device."""
        learned: dict[str, Tensor | float] = {}
        for module in self.objective.modules() if self.objective else ():
            if isinstance(module, Temperature):
                key = "temperature" if "temperature" not in learned else "temperature/drawings"
                learned[key] = (-module.log_scale.detach()).exp()
            if isinstance(module, UncertaintyWeighting):
                learned |= {f"s/{name}": s.detach().clone() for name, s in module.log_variances.items()}
        return learned

    def state(self) -> dict[str, Any]:
        """What has been learned in this stage besides the network."""
        head = self.trained.head.state_dict() if isinstance(self.trained, RotationTask) else {}
        objective = self.objective.state_dict() if self.objective else {}
        return {"head": head, "objective": objective, "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        if isinstance(self.trained, RotationTask):
            self.trained.head.load_state_dict(state["head"])
        if self.objective:
            self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Grows in a line during the warm-up; then stays, or falls to 0 along half a cosine."""
    warmup = round(stage.warmup * steps)
    if step < warmup:
        return stage.lr * (step + 1) / warmup
    if stage.schedule == "constant":
        return stage.lr
    return stage.lr * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


def _parallel(module: nn.Module, plan: Plan, share: Share) -> nn.Module:
    if share.processes == 1:
        return module
    return DistributedDataParallel(
        module, find_unused_parameters=plan.config.pooling == "gem" or bool(plan.config.text_head)
    )


def _features_of(towers: Towers) -> int:
    """How many features the backbone itself gives, whatever pooling follows it in the network."""
    size = towers.preprocessing
    weight = next(towers.net.backbone.parameters())
    towers.net.backbone.eval()
    with torch.inference_mode():
        features = towers.net.backbone(torch.zeros(1, 3, size.height, size.width, device=weight.device))
    towers.net.backbone.train()
    return int(features.shape[1])
