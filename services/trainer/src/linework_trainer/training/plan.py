"""What is to be trained, as one file beside the data: every process of a training reads it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from linework_core.recipes import Recipe
from linework_vision.card import ModelCard
from linework_vision.checkpoint import CheckpointConfig
from linework_vision.identity import hash_of

PLAN, DATA, CHECKPOINT, OUTCOME, REPORTS, ALIVE = "plan.json", "data", "checkpoint", "outcome.json", "reports", "alive"


class Plan(BaseModel):
    """A training to be. Two plans of one `fingerprint` would take the same steps on the same machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    config: CheckpointConfig
    card: ModelCard
    drawings: str  # hash of what is trained on: pictures, labels, texts, in their order
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    objects_url: str
    state_key: str
    loaders: int = 0
    save_seconds: float = 120.0
    report_seconds: float = 1.0

    @property
    def fingerprint(self) -> str:
        told: dict[str, Any] = self.model_dump(mode="json", include={"recipe", "config", "drawings", "precision"})
        return hash_of(told)

    def write(self, folder: Path) -> None:
        (folder / PLAN).write_text(self.model_dump_json(indent=2))

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        return cls.model_validate_json((folder / PLAN).read_bytes())
