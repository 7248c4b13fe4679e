"""A corpus to be described: designs whose drawings have certain figures, and small pictures of their own."""

import itertools
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from obstore.store import ObjectStore
from PIL import Image
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from linework_core import store
from linework_core.corpus import next_snapshot
from linework_core.imaging import derivative_hash, encode_png
from linework_core.jobs import runner, service
from linework_core.settings import Settings, get_settings
from linework_core.tables import Description, Drawing, EnrichFailure, Figure, Job, Patent, Sheet
from linework_enricher.job import Enricher

VIEWS = ("perspective view", "front elevational view", "rear elevational view", "top plan view", "bottom plan view")
_shades = itertools.count()


def add_design(
    session: Session,
    objects: ObjectStore | None,
    patent_id: str,
    *,
    named: str = "desk lamp",
    drawings: int = 3,
    locarno: str = "26-05",
    **told: Any,
) -> Patent:
    """A design with so many drawings, each of another view. Without a store the pictures are missing."""
    job = Job(kind="ingest", owner="test", state="succeeded")
    session.add(job)
    session.flush()
    snapshot = next_snapshot(session)
    patent = Patent(
        patent_id=patent_id, office="US", number=patent_id, source="uspto", digest=str(snapshot), job_id=job.id,
        added_in=snapshot, locarno=locarno, title=named.capitalize(), claim=f"The ornamental design for a {named}.",
        **told,
    )  # fmt: skip
    session.add(patent)
    session.flush()
    sheet = Sheet(
        sheet_id=f"{patent_id}-S", patent_row=patent.row_id, number=1, role="drawings", original="0" * 64, width=40,
        height=30,
    )  # fmt: skip
    figures = [_figure(patent, number, named) for number in range(1, drawings + 1)]
    session.add_all([sheet, *figures])
    session.flush()
    session.add_all([_drawing(patent, sheet, figure, objects, snapshot) for figure in figures])
    session.flush()
    return patent


def _figure(patent: Patent, number: int, named: str) -> Figure:
    view = VIEWS[(number - 1) % len(VIEWS)]
    return Figure(
        patent_row=patent.row_id, ordinal=number, number=str(number), label=f"FIG. {number}",
        caption=f"FIG. {number} is a {view} of the {named}", view=view, object=named,
    )  # fmt: skip


def _drawing(patent: Patent, sheet: Sheet, figure: Figure, objects: ObjectStore | None, snapshot: int) -> Drawing:
    return Drawing(
        drawing_id=f"{patent.patent_id}-S_{figure.ordinal}", patent_id=patent.patent_id, office="US",
        granted=patent.granted, locarno=patent.locarno, view=figure.view, patent_row=patent.row_id,
        sheet_row=sheet.row_id, figure_row=figure.row_id, number=figure.ordinal, original="0" * 64,
        derivative=_picture(objects), width=40, height=30, added_in=snapshot,
    )  # fmt: skip


def _picture(objects: ObjectStore | None) -> str:
    if objects is None:
        return f"{next(_shades):064x}"
    shade = next(_shades)
    picture = Image.new("L", (40, 30), shade % 256)
    picture.putpixel((0, 0), shade // 256 % 256)
    found = derivative_hash(picture)
    store.put_once(objects, store.derivative_key(found), encode_png(picture))
    return found


def order(engine: Engine, provider: str = "openai", **params: Any) -> UUID:
    """A queued job, as POST /enrich makes it."""
    told = {"provider": provider, "count": 10, "languages": ["en"], "captioner": False, **params}
    with Session(engine) as session, session.begin():
        return service.create(session, "enrich", told, owner="test").id


def enrich(engine: Engine, provider: str = "openai", *, settings: Settings | None = None, **params: Any) -> Job:
    """Order an enrichment, run it here, and return how it ended."""
    return run(engine, order(engine, provider, **params), settings=settings)


def run(engine: Engine, job_id: UUID, *, settings: Settings | None = None) -> Job:
    runner.run_job(job_id, Enricher(settings or get_settings(), store.get_store()), engine=engine)
    return read(engine, job_id)


def read(engine: Engine, job_id: UUID) -> Job:
    with Session(engine, expire_on_commit=False) as session:
        return session.get_one(Job, job_id)


def counts(job: Job) -> tuple[int | None, int, int, int]:
    return job.total, job.done, job.skipped, job.failed


def sets(engine: Engine, *, all_of_them: bool = False) -> Sequence[Description]:
    """Sets that are read now, or all that were ever written, by drawing."""
    wanted = select(Description).order_by(Description.drawing_id, Description.id)
    with Session(engine, expire_on_commit=False) as session:
        return session.scalars(wanted if all_of_them else wanted.where(Description.removed_in.is_(None))).all()


def failures(engine: Engine) -> Sequence[EnrichFailure]:
    with Session(engine, expire_on_commit=False) as session:
        return session.scalars(select(EnrichFailure).order_by(EnrichFailure.drawing_row)).all()


def provider_of(url: str, **told: Any) -> str:
    """The setting LLM or CAPTIONER for a server."""
    return json.dumps(
        {"url": url, "model": "stub-1", "concurrency": 8, "timeout_s": 10, "price_in": 1, "price_out": 2} | told
    )
