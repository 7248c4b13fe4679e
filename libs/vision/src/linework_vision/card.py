"""The model card: what a person should know of a checkpoint, in Markdown beside its weights."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class ModelCard(BaseModel):
    """Where a checkpoint comes from. Kept in the checkpoint's folder as `card.md`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(min_length=1, description="Name of the recipe, with what was overridden")
    data: str = Field(min_length=1, description="What it was trained on, in words")
    snapshot: int | None = Field(None, description="The corpus as of this snapshot; none for data from elsewhere")
    before: str | None = Field(None, description="Trained on nothing granted on or after this date")
    seed: int
    commit: str = Field(min_length=1, description="The code's commit")
    metrics: dict[str, float] = Field(default_factory=dict)
    licence: str = "Apache-2.0"
    attributions: tuple[str, ...] = ()
    limits: str = ""


def render_card(card: ModelCard, *, name: str, model: Mapping[str, str]) -> str:
    """The card as Markdown. `model` tells of the checkpoint itself: its backbone, input, vector, text tower."""
    facts = {
        **model,
        "Recipe": card.recipe,
        "Data": card.data,
        "Corpus snapshot": card.snapshot,
        "Trained before": card.before,
        "Seed": card.seed,
        "Commit": card.commit,
        "Licence": card.licence,
    }
    parts = [f"# {name}", _table(("", ""), {key: str(value) for key, value in facts.items() if value is not None})]
    if card.metrics:
        measured = {key: f"{value:.4f}" for key, value in sorted(card.metrics.items())}
        parts += ["## Measured", _table(("metric", "value"), measured)]
    if card.attributions:
        parts += ["## Attributions", "\n".join(f"- {one}" for one in card.attributions)]
    if card.limits:
        parts += ["## Limits", card.limits]
    return "\n\n".join(parts) + "\n"


def _table(heads: tuple[str, str], rows: dict[str, str]) -> str:
    lines = [f"| {heads[0]} | {heads[1]} |", "|---|---|"]
    return "\n".join(lines + [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows.items()])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
