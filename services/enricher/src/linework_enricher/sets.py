"""Writing sets of texts and failures. A newer set of a drawing closes the older; nothing is overwritten."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import delete, text
from sqlalchemy.orm import Session

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
    forget_failures(session, recipe, [one.facts.drawing_row for one in new])
    return added


def record_failures(session: Session, recipe: Recipe, failures: Sequence[Failure]) -> None:
    """Note why drawings have no texts. Each is tried again after a pause that doubles, from 2 minutes to 17 hours."""
    if not failures:
        return
    statement = text("""
        INSERT INTO enrich_failures AS known (drawing_row, recipe, tries, reason, detail, next_try_at)
        VALUES (:row, :recipe, 1, :reason, :detail, now() + interval '2 minutes')
        ON CONFLICT (drawing_row, recipe) DO UPDATE SET
            tries = known.tries + 1, reason = excluded.reason, detail = excluded.detail,
            next_try_at = now() + interval '1 minute' * power(2, least(known.tries + 1, 10))""")
    rows: list[dict[str, Any]] = [
        {"row": one.drawing_row, "recipe": recipe.id, "reason": one.reason, "detail": _storable(one.detail)}
        for one in failures
    ]
    session.execute(statement, rows)


def forget_failures(session: Session, recipe: Recipe, rows: Collection[int]) -> None:
    """What succeeded after all has not failed."""
    mine = delete(EnrichFailure).where(EnrichFailure.recipe == recipe.id, EnrichFailure.drawing_row.in_(rows))
    session.execute(mine, execution_options={"synchronize_session": False})


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


def _storable(detail: str) -> str:
    """Without NUL and halves of surrogate pairs, which Postgres does not take."""
    return detail[:1000].encode("utf-8", "replace").decode().replace("\0", "?")


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
