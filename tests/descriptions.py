"""Descriptions without the enricher."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from linework_core.corpus import next_snapshot
from linework_core.fulltext import words_of_texts
from linework_core.tables import Description, Drawing, Job


def describe(session: Session, drawing_id: str, *texts: str, recipe: str = "first", **provenance: Any) -> int:
    """Give a drawing a set of texts, as the enricher would, and return the snapshot. A newer set ends the older."""
    wanted = select(Drawing).where(Drawing.drawing_id == drawing_id, Drawing.removed_in.is_(None))
    drawing = session.scalars(wanted).one()
    job = Job(kind="enrich", owner="test", state="succeeded")
    session.add(job)
    session.flush()
    snapshot = next_snapshot(session)
    older = (Description.drawing_row == drawing.row_id, Description.removed_in.is_(None))
    session.execute(update(Description).where(*older).values(removed_in=snapshot))
    values = {"provider": "template", "prompt": "p" * 64, "facts": "f" * 64} | provenance
    session.add(
        Description(
            drawing_row=drawing.row_id, drawing_id=drawing_id, patent_id=drawing.patent_id, recipe=recipe,
            texts=[{"text": text, "language": "en"} for text in texts], words=words_of_texts(texts),
            job_id=job.id, added_in=snapshot, **values,
        )
    )  # fmt: skip
    session.commit()
    return snapshot
