"""The loop. Read it from top to bottom: `run`, then what it calls."""

import time
from itertools import accumulate
from typing import Any, Protocol

import structlog
import torch
from torch import Tensor, distributed, nn

from linework_core.jobs.runner import HandedBack
from linework_trainer.data.batches import Course, Share
from linework_trainer.data.dataset import TrainingData
from linework_trainer.training.building import Towers, make_net
from linework_trainer.training.history import History, losses_of
from linework_trainer.training.plan import Plan
from linework_trainer.training.stage import StageRun
from linework_trainer.training.state import KeptState
from linework_trainer.training.validation import mean_average_precision, to_look_at
from linework_vision.checkpoint import DrawingNet

log = structlog.get_logger()
Report = dict[str, Any]


class Listener(Protocol):
    """Whoever asked for the training."""

    def checkpoint(self) -> None:
        """Called before each step. Raises whatever should end the training now."""

    def tell(self, report: Report) -> None:
        """Hears how it goes, about once a second."""


class Training:
    """Runs a plan on data, in this process or this process's share of it. Interrupted, it goes on where it was kept."""

    def __init__(
        self, plan: Plan, data: TrainingData, kept: KeptState, listener: Listener, *, device: str, share: Share
    ) -> None:
        self.plan, self.data, self.kept, self.listener = plan, data, kept, listener
        self.device, self.share = torch.device(device), share
        net = make_net(plan.recipe, plan.config).to(self.device)
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        if self.device.type == "cuda" and share.processes > 1:
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        self.towers = Towers(net, plan.config.preprocessing).train()
        self.history = History()
        self.looks: list[dict[str, Any]] = []  # at the drawings kept back: stage, step and mAP
        self.held = to_look_at(data, plan.recipe.validation, plan.recipe.seed)
        self.images, self.seconds = 0, 0.0
        courses = [Course.of(stage, len(data.train), share.processes) for stage in plan.recipe.stages.values()]
        self._begins = [0, *accumulate(course.steps for course in courses)]  # steps before each stage, and in all
        self._best: dict[str, Tensor] | None = None
        self._clock = _Clock()

    def run(self) -> DrawingNet:
        """Train, and return the network. Raises Diverged, BadRecipe, and what the listener raises."""
        state = self.kept.load()
        if state is not None:
            self._restore(state)
        begin = state["stage"] if state is not None else 0
        for number, name in enumerate(self.plan.recipe.stages):
            if number >= begin:
                self._run_stage(number, name, state if number == begin else None)
        self.towers.eval()
        return self.towers.net

    def _run_stage(self, number: int, name: str, state: dict[str, Any] | None) -> None:
        stage = StageRun(number, name, self.plan, self.towers, self.data, self.device, self.share)
        if state is not None:
            stage.restore(state["run"])
        first = state["step"] if state is not None else 0
        batches = stage.load(first) if first < stage.course.steps else iter(())
        self._clock.start(first)
        for step in range(first, stage.course.steps):
            try:
                self.listener.checkpoint()
            except HandedBack:
                self._save(stage, step)  # another worker goes on from here
                raise
            self.history.add(name, step, stage.step(step, batches))
            self.images += stage.course.size * stage.course.accumulate
            if self._clock.due("report", self.plan.report_seconds):
                self._report(stage, step)
            stop = self._epoch_ends(stage, step) and self._look(stage, step)
            if stop or self._clock.due("save", self.plan.save_seconds):
                self._save(stage, stage.course.steps if stop else step + 1)
            if stop:
                break
        self._report(stage, stage.course.steps - 1)
        self._end(stage)

    def _epoch_ends(self, stage: StageRun, step: int) -> bool:
        """At the end of every so many epochs, and of the stage."""
        every = self.plan.recipe.validation.every
        if step + 1 == stage.course.steps:
            return True
        before, after = stage.course.epoch(step), stage.course.epoch(step + 1)
        return before // every < after // every

    def _look(self, stage: StageRun, step: int) -> bool:
        """Look at the drawings kept back, and say whether it is time to stop."""
        if stage.settings.trains_backbone_alone or not len(self.held):
            return False
        score = self._score()
        self.looks.append({"stage": stage.name, "step": step, "map": score})
        patience = self.plan.recipe.validation.patience
        if patience is None or score is None:
            return False
        scores = [look["map"] for look in self.looks if look["stage"] == stage.name]
        best = scores.index(max(scores))
        if best == len(scores) - 1:
            self._best = {key: value.detach().cpu().clone() for key, value in self.towers.net.state_dict().items()}
        return len(scores) - 1 - best >= patience

    def _score(self) -> float | None:
        """The first process looks; all go by what it saw."""
        score = None
        if self.share.rank == 0:
            autocast = lambda: torch.autocast(  # noqa: E731
                self.device.type, torch.bfloat16, enabled=self.plan.precision == "bf16"
            )
            settings = self.plan.recipe.validation
            score = mean_average_precision(self.towers, self.data, self.held, settings, self.device, autocast)
        if self.share.processes > 1:
            told = [score]
            distributed.broadcast_object_list(told, src=0, device=self.device)
            score = told[0]
        return score

    def _end(self, stage: StageRun) -> None:
        """The next stage, or the encoder, has the best weights that were seen, where that was asked for."""
        if self._best is not None:
            self.towers.net.load_state_dict(self._best)
            self._best = None
        log.info("stage_ended", stage=stage.name, images=self.images)

    def _report(self, stage: StageRun, step: int) -> None:
        self.history.flush()
        if not self.history.rows:
            return
        row, done = self.history.rows[-1], step + 1
        rate = self._clock.rate(done)
        ahead = (stage.course.steps - done) / rate if rate else None
        steps = stage.course.accumulate * stage.course.size
        self.listener.tell(
            {
                "stage": stage.name,
                "epoch": stage.course.epoch(step) + 1,
                "step": done,
                "steps": stage.course.steps,
                "done": self._begins[stage.number] + done,
                "total": self._begins[-1],
                "images": self.images,
                "loss": row["total"],
                "losses": losses_of(row),
                "s": {name.removeprefix("s/"): value for name, value in row.items() if name.startswith("s/")},
                "temperature": row.get("temperature"),
                "lr": row["lr"],
                "gradient": row["gradient"],
                "images_per_second": rate * steps if rate else None,
                "eta_seconds": ahead,
                "validation": self.looks[-1] if self.looks else None,
            }
        )

    def _save(self, stage: StageRun, next_step: int) -> None:
        """Keep the state, unless it is broken."""
        self.history.flush()
        if self.share.rank == 0:
            self.kept.save(
                {
                    "stage": stage.number,
                    "step": next_step,
                    "run": stage.state(),
                    "net": self.towers.net.state_dict(),
                    "best": self._best,
                    "history": self.history.rows,
                    "looks": self.looks,
                    "images": self.images,
                    "seconds": self.seconds + self._clock.since_start(),
                }
            )

    def _restore(self, state: dict[str, Any]) -> None:
        self.towers.net.load_state_dict(state["net"])
        self.history, self.looks = History(state["history"]), list(state["looks"])
        self.images, self.seconds, self._best = state["images"], state["seconds"], state["best"]
        log.info("training_goes_on", stage=state["stage"], step=state["step"])

    @property
    def took(self) -> float:
        """Seconds of training, of all processes that had it one after the other."""
        return self.seconds + self._clock.since_start()


class _Clock:
    """When something is due again, and how fast it goes."""

    def __init__(self) -> None:
        self._born = time.monotonic()
        self._last: dict[str, float] = {}
        self._begun: tuple[int, float] | None = None

    def start(self, step: int) -> None:
        self._begun = step, time.monotonic()

    def due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last.setdefault(what, now) < seconds:
            return False
        self._last[what] = now
        return True

    def rate(self, step: int) -> float | None:
        """Steps a second since the start."""
        if self._begun is None or step <= self._begun[0]:
            return None
        return (step - self._begun[0]) / max(1e-9, time.monotonic() - self._begun[1])

    def since_start(self) -> float:
        return time.monotonic() - self._born
