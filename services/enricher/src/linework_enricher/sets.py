"""Writing sets of texts and failures. A newer set of a drawing closes the older; nothing is overwritten."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.orm import Session

from linework_core import failures
from linework_core.corpus import next_snapshot
from linework_core.tables import EnrichFailure
from linework_enricher.facts import Facts
from linework_enricher.recipe import Recipe
from linework_enricher.texts import Text


@dataclass(frozen=True, slots=True)
class NewSet:
    """A complete set of texts about a drawing. Tokens, cost (US dollars) and latency are those of the calls that were
    first made for it; `calls` are all it rests on.
    """

    facts: Facts
    texts: Sequence[Text]
    calls: Sequence[str] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a drawing could not be described: a stable kebab-case reason, and a sentence."""

    drawing_row: int
    reason: str
    detail: str


def add(session: Session, recipe: Recipe, job_id: UUID, new: Sequence[NewSet]) -> int:
    """Write the sets, close what they replace, and return how many were taken.

    Not those of drawings that were closed meanwhile, nor those that another worker was quicker with.
    """
    if not new:
        return 0
    _stage(session, new)
    values = {"recipe": recipe.id, "snapshot": next_snapshot(session)}
    session.execute(_LEAVE_OUT, values)
    session.execute(_CLOSE_OLDER, values)
    values |= {"provider": recipe.provider, "model": recipe.model, "captioner": recipe.captioner}
    added: int = session.execute(_ADD, {**values, "prompt": recipe.prompt, "job": job_id}).rowcount  # type: ignore[attr-defined]
    described = EnrichFailure.drawing_row.in_([one.facts.drawing_row for one in new])
    failures.forget(session, EnrichFailure, EnrichFailure.recipe == recipe.id, described)
    return added


def record_failures(session: Session, recipe: Recipe, failed: Sequence[Failure]) -> None:
    """Note why drawings have no texts."""
    rows = [{**asdict(one), "recipe": recipe.id} for one in failed]
    failures.record(session, EnrichFailure, rows)


def _stage(session: Session, new: Sequence[NewSet]) -> None:
    """Bring the sets to the server and make their words there, before the corpus' lock is taken."""
    session.execute(_STAGED)
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy("COPY staged FROM STDIN") as copy:
        for one in new:
            texts = [single.as_json() for single in one.texts]
            told = "\n".join(single.text for single in one.texts)
            copy.write_row(
                (one.facts.drawing_row, Jsonb(texts), one.facts.digest(), one.tokens_in, one.tokens_out, one.cost,
                 one.latency_ms, list(one.calls), told)
            )  # fmt: skip
    session.execute(_FRESH)


_STAGED = text("""
    CREATE TEMPORARY TABLE staged (drawing_row bigint, texts jsonb, facts text, tokens_in int, tokens_out int,
        cost numeric, latency_ms float8, calls text[], told text) ON COMMIT DROP""")
_FRESH = text("""
    CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS
    SELECT DISTINCT ON (drawing_row) *, setweight(to_tsvector('english', told), 'C') AS words FROM staged""")
_LEAVE_OUT = text("""
    DELETE FROM fresh f
    WHERE NOT EXISTS (SELECT FROM drawings d WHERE d.row_id = f.drawing_row AND d.removed_in IS NULL)
       OR EXISTS (SELECT FROM descriptions known WHERE known.drawing_row = f.drawing_row AND known.recipe = :recipe
                  AND known.facts = f.facts)""")
_CLOSE_OLDER = text("""
    UPDATE descriptions SET removed_in = :snapshot
    WHERE removed_in IS NULL AND drawing_row IN (SELECT drawing_row FROM fresh)""")
_ADD = text("""
    INSERT INTO descriptions (drawing_row, drawing_id, patent_id, texts, provider, model, captioner, prompt, facts,
        recipe, tokens_in, tokens_out, cost, latency_ms, calls, job_id, words, added_in)
    SELECT d.row_id, d.drawing_id, d.patent_id, f.texts, :provider, :model, :captioner, :prompt, f.facts,
        :recipe, f.tokens_in, f.tokens_out, f.cost, f.latency_ms, f.calls, :job, f.words, :snapshot
    FROM fresh f JOIN drawings d ON d.row_id = f.drawing_row ORDER BY d.row_id""")
