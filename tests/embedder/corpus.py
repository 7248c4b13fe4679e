"""A corpus for the bulk worker: patents whose drawings are pictures of one grey."""

import datetime as dt
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import numpy as np
from obstore.store import ObjectStore
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from linework_core import encoders, store
from linework_core.corpus import next_snapshot
from linework_core.imaging import derivative_hash, open_image
from linework_core.jobs import runner, service
from linework_core.tables import Drawing, Embedding, EmbedFailure, Encoder, Job, Patent, Sheet
from linework_embedder.bulk import BulkEmbedder
from linework_vision import load
from tests.embedder.conftest import derivative


def add_patent(session: Session, objects: ObjectStore, patent_id: str, greys: Iterable[int | None]) -> Patent:
    """A patent with a drawing of each grey; None is a drawing whose derivative the object store has lost."""
    job = Job(kind="ingest", owner="test", state="succeeded")
    session.add(job)
    session.flush()
    snapshot = next_snapshot(session)
    patent = Patent(
        patent_id=patent_id, office="US", number=patent_id[2:], source="uspto", digest=str(snapshot), job_id=job.id,
        added_in=snapshot,
    )  # fmt: skip
    session.add(patent)
    session.flush()
    sheet = Sheet(
        sheet_id=f"{patent_id}-S", patent_row=patent.row_id, number=1, role="drawings", original="0" * 64,
        width=40, height=30,
    )  # fmt: skip
    session.add(sheet)
    session.flush()
    for number, grey in enumerate(greys, start=1):
        session.add(
            Drawing(
                drawing_id=f"{patent_id}-S_{number}",
                patent_id=patent_id,
                office="US",
                granted=dt.date(2020, 1, number),
                locarno="14-02",
                view="front view",
                patent_row=patent.row_id,
                sheet_row=sheet.row_id,
                number=number,
                original="0" * 64,
                derivative=put(objects, grey),
                width=40,
                height=30,
                added_in=snapshot,
            )
        )
    session.flush()
    return patent


def put(objects: ObjectStore, grey: int | None) -> str:
    """Store a derivative and return its hash."""
    if grey is None:
        return "0" * 64
    png = derivative(grey)
    found = derivative_hash(open_image(png))
    store.put_once(objects, store.derivative_key(found), png)
    return found


def make_active(session: Session, spec: str) -> Encoder:
    return encoders.ensure_active(session, load(spec).manifest)


def start(engine: Engine, embedder: BulkEmbedder, encoder: Encoder) -> Job:
    """Run the encoder's embed job here, and return how it ended."""
    return start_at_once(engine, [embedder], encoder)


def start_at_once(engine: Engine, embedders: Sequence[BulkEmbedder], encoder: Encoder) -> Job:
    """The same, by several that do not know of one another."""
    with Session(engine) as session, session.begin():
        job_id = service.ensure_embed_job(session, encoder).id
    with ThreadPoolExecutor(len(embedders)) as threads:
        list(threads.map(lambda embedder: runner.run_job(job_id, embedder, engine=engine), embedders))
    return read(engine, job_id)


def read(engine: Engine, job_id: UUID) -> Job:
    with Session(engine, expire_on_commit=False) as session:
        return session.get_one(Job, job_id)


def vectors(session: Session, encoder: Encoder) -> dict[str, np.ndarray]:
    """Open vectors by drawing."""
    rows = session.execute(
        select(Embedding.drawing_id, Embedding.vector).where(
            Embedding.encoder == encoder.number, Embedding.removed_in.is_(None)
        )
    )
    return {drawing_id: np.array(vector, dtype=np.float32) for drawing_id, vector in rows}


def failures(session: Session) -> list[EmbedFailure]:
    return list(session.scalars(select(EmbedFailure).order_by(EmbedFailure.drawing_row)))


def counts(job: Job) -> tuple[int | None, int, int, int]:
    """Total, done, skipped, failed."""
    return job.total, job.done, job.skipped, job.failed
