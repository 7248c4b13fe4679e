"""From a request to the parameters of an enrichment; reading what was written."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from linework_api import cursors
from linework_api.descriptions.schemas import Descriptions, DescriptionSet, EnrichRequest
from linework_api.patents.service import find_drawing
from linework_api.search.scope import resolve
from linework_core import patent_ids
from linework_core.corpus import current_snapshot
from linework_core.errors import NotFound, Unprocessable
from linework_core.settings import Settings
from linework_core.tables import Description, Drawing, Patent

PLACE: TypeAdapter[tuple[int, int]] = TypeAdapter(tuple[cursors.Number, cursors.Number])  # snapshot, row


def check_provider(asked: EnrichRequest, settings: Settings) -> str:
    """The provider that will write. Raises Unprocessable where it, or the captioner, is not configured."""
    provider = asked.provider or settings.enrich_provider
    if provider == "template" and (asked.model is not None or asked.captioner):
        raise Unprocessable("The provider is 'template', which takes neither 'model' nor 'captioner'.")
    if provider == "template" and "en" not in asked.languages:
        raise Unprocessable("The provider is 'template', which writes English only: 'en' must be among the languages.")
    if provider == "openai" and settings.llm is None:
        raise Unprocessable("No language model is configured here (setting LLM): use the provider 'template'.")
    if asked.captioner and settings.captioner is None:
        raise Unprocessable("No captioner is configured here (setting CAPTIONER).")
    return provider


def job_params(session: Session, asked: EnrichRequest, provider: str) -> dict[str, Any]:
    """What the enricher is told. Raises NotFound for a patent or a drawing that is not there."""
    patents = list(dict.fromkeys(patent_ids.resolve(session, asked.patents).values()))
    _all_there(session, "patent", Patent.patent_id, patents, Patent.removed_in)
    _all_there(session, "drawing", Drawing.drawing_id, asked.drawings, Drawing.removed_in)
    scope = None
    if asked.filter is not None:
        scope = resolve(session, asked.filter, current_snapshot(session)).as_json()
    told = asked.model_dump(mode="json", exclude={"filter", "provider"})
    return told | {"patents": patents, "provider": provider, "scope": scope}


def _all_there(
    session: Session, kind: str, key: InstrumentedAttribute[str], ids: list[str], end: InstrumentedAttribute[Any]
) -> None:
    missing = set(ids) - set(session.scalars(select(key).where(key.in_(ids), end.is_(None))))
    if missing:
        raise NotFound(f"There is no {kind} {min(missing)}.")


def read_descriptions(session: Session, drawing_id: str, *, limit: int | None, cursor: str | None) -> Descriptions:
    """The newest sets of a drawing, those of its earlier versions too; `limit` None reads all. Raises NotFound."""
    drawing = find_drawing(session, drawing_id)
    place = (Description.added_in, Description.id)
    wanted = select(Description).where(Description.drawing_id == drawing.drawing_id)
    if cursor is not None:
        wanted = wanted.where(tuple_(*place) < cursors.decode(cursor, PLACE))
    newest_first = wanted.order_by(*(column.desc() for column in place))
    found = session.scalars(newest_first.limit(None if limit is None else limit + 1)).all()
    page = found[:limit]
    more = cursors.encode(page[-1].added_in, page[-1].id) if len(found) > len(page) else None
    return Descriptions(drawing=drawing_id, sets=[DescriptionSet.of(row) for row in page], next=more)
