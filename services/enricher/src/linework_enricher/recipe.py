"""What an enrichment was asked, and the recipe that follows from it: by whom and how texts are written."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from linework_core.errors import Unprocessable
from linework_core.scope import Scope
from linework_core.settings import ProviderSettings, Settings
from linework_enricher import prompts, template


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides on a drawing's texts, but for its facts. A set of texts is complete for one recipe."""

    provider: Literal["template", "openai"]
    model: str | None
    captioner: str | None
    prompt: str  # hash of the prompts and sentences used
    count: int
    languages: tuple[str, ...]

    @property
    def id(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Budget:
    """What a job may take; None is no limit. `money` is in US dollars."""

    drawings: int | None = None
    tokens: int | None = None
    money: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A job's parameters. `patents` and `drawings` add up, `scope` narrows down; none of the three means everything."""

    recipe: Recipe
    llm: ProviderSettings | None
    captioner: ProviderSettings | None
    budget: Budget
    dry_run: bool
    patents: tuple[str, ...]
    drawings: tuple[str, ...]
    scope: Scope | None

    @classmethod
    def read(cls, params: dict[str, Any], settings: Settings) -> "Order":
        """Raises Unprocessable where a provider is asked for that is not, or no longer, configured."""
        llm, captioner = _providers(params, settings)
        recipe = Recipe(
            provider=params["provider"],
            model=llm.model if llm else None,
            captioner=captioner.model if captioner else None,
            prompt=_prompt(captioned=captioner is not None) if llm else _hash("template", template.VERSION),
            count=params.get("count") or 20,
            languages=tuple(params.get("languages") or ("en",)),
        )
        scope = params.get("scope")
        return cls(
            recipe,
            llm,
            captioner,
            budget=Budget(**(params.get("budget") or {})),
            dry_run=bool(params.get("dry_run")),
            patents=tuple(params.get("patents") or ()),
            drawings=tuple(params.get("drawings") or ()),
            scope=Scope.from_json(scope) if scope else None,
        )


def _providers(params: dict[str, Any], settings: Settings) -> tuple[ProviderSettings | None, ProviderSettings | None]:
    if params["provider"] == "template":
        return None, None
    if settings.llm is None:
        raise Unprocessable("No language model is configured here (setting LLM).")
    captioned = bool(params.get("captioner"))
    if captioned and settings.captioner is None:
        raise Unprocessable("No captioner is configured here (setting CAPTIONER).")
    model = params.get("model") or settings.llm.model
    return settings.llm.model_copy(update={"model": model}), settings.captioner if captioned else None


def _prompt(*, captioned: bool) -> str:
    """Without a captioner the template's view sentences complete what is written for a whole design."""
    versions = [prompts.version("describe")]
    return _hash(*versions, prompts.version("caption")) if captioned else _hash(*versions, template.VERSION)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
