"""A gateway in this process on real servers, and a quick way to a corpus of any shape."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from sqlalchemy import Engine, delete, func, select, text, update
from sqlalchemy.orm import Session

from linework_api import worker
from linework_api.app import create_app
from linework_api.embedder_client import EmbedderClient
from linework_core import corpus, db, encoders, store
from linework_core.fulltext import words_of
from linework_core.imaging import derivative_of, encode_png
from linework_core.manifest import EncoderManifest
from linework_core.patent_ids import as_cited
from linework_core.settings import Settings, get_settings, sha256
from linework_core.tables import ApiKey, Citation, Drawing, Embedding, Encoder, Figure, Job, Patent, Sheet
from linework_core.tables.callers import PREFIX
from tests.configured import configured

# The test client comes from 'testclient' and calls 'testserver': a gateway without keys serves its own machine only
_init: Any = TestClient.__init__
_init.__defaults__ = ("http://127.0.0.1", *_init.__defaults__[1:-1], ("127.0.0.1", 50_000))

DIMENSION = 8
LEASE = 0.8  # seconds, with `short_leases`


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    values = {
        "EMBEDDER_URL": f"unix://{tmp_path}/no-embedder.sock",
        "AUTH": "off",
        "LEASE_SECONDS": "3",
        "INGEST_ROOTS": f'["{tmp_path.as_uri()}"]',
    }
    with configured(monkeypatch, own_servers | values) as settings:
        yield settings


def require_keys(monkeypatch: pytest.MonkeyPatch, **scopes: list[str]) -> None:
    """From now on a key is asked for; the key of `anna` is 'anna-key'. There are no others."""
    monkeypatch.setenv("AUTH", "on")
    get_settings.cache_clear()
    with db.transaction() as session:
        session.execute(delete(ApiKey))
        for name, granted in scopes.items():
            give_key(session, name, granted)


def give_key(session: Session, name: str, scopes: list[str], **more: Any) -> ApiKey:
    """A key, shorter than any that is given to people."""
    digest = sha256(f"{name}-key")
    key = ApiKey(name=name, scopes=scopes, created_by="test", prefix=digest[:PREFIX], digest=digest, **more)
    session.add(key)
    session.flush()
    return key


def as_caller(name: str) -> dict[str, str]:
    """Headers with a caller's key."""
    return {"Authorization": f"Bearer {name}-key"}


@pytest.fixture
def engine(environment: Settings) -> Engine:
    return db.get_engine()


@pytest.fixture
def client(environment: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def fresh_worker(environment: Settings) -> Iterator[None]:
    """The ingest worker's own connections and children, by this test's settings."""
    for made in (worker.searching, worker.decoder):
        made.cache_clear()
    yield
    worker.searching().engine.dispose()
    embedder = worker.searching().embedder
    assert isinstance(embedder, EmbedderClient)
    embedder.close()
    worker.decoder().close()
    for made in (worker.searching, worker.decoder):
        made.cache_clear()


@pytest.fixture
def encoder(session: Session) -> Encoder:
    """An active index of an encoder with few dimensions."""
    manifest = EncoderManifest(
        id="tiny-1", name="tiny", spec="debug:8", content_hash="1" * 64, dimension=DIMENSION, has_text=False
    )
    made = encoders.ensure_active(session, manifest)
    session.commit()
    return made


@dataclass(frozen=True)
class Design:
    """A patent to be, one drawing a vector; a drawing without a vector is not indexed."""

    id: str
    vectors: Sequence[Sequence[float] | None] = ((1.0,) + (0.0,) * 7,)
    granted: dt.date | None = dt.date(2015, 1, 6)
    filed: dt.date | None = dt.date(2014, 1, 7)
    priority: dt.date | None = dt.date(2014, 1, 7)
    locarno: str | None = "14-02"
    office: str = "US"
    family: tuple[str, ...] = ()
    title: str | None = None
    views: tuple[str | None, ...] = ()  # classes of views of the drawings, in their order
    cites: tuple[str, ...] = ()


def count(session: Session, table: Any, *conditions: Any) -> int:
    """Rows of a table, as they are now."""
    session.rollback()
    return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def unit(seed: int) -> tuple[float, ...]:
    """A random unit vector."""
    values = np.random.default_rng(seed).normal(size=DIMENSION)
    return tuple(float(value) for value in values / np.linalg.norm(values))


def load(session: Session, encoder: Encoder, designs: Sequence[Design]) -> int:
    """Add designs to the corpus, as ingest and the embedder would, and return the snapshot."""
    job = Job(kind="ingest", owner="test", state="succeeded")
    session.add(job)
    session.flush()
    snapshot = corpus.next_snapshot(session)
    for design in designs:
        _add(session, encoder, design, job, snapshot)
    session.commit()
    return snapshot


def _add(session: Session, encoder: Encoder, design: Design, job: Job, snapshot: int) -> None:
    dates = {"granted": design.granted, "filed": design.filed, "priority": design.priority}
    facts = {"patent_id": design.id, "office": design.office, "locarno": design.locarno, **dates}
    patent = Patent(
        **facts, number=as_cited(design.id)[2:], title=design.title or f"Design {design.id}",
        source="uspto", digest=design.id, family_keys=list(design.family), job_id=job.id, added_in=snapshot,
    )  # fmt: skip
    session.add(patent)
    session.flush()
    sheet = Sheet(
        sheet_id=f"{design.id}-S", patent_row=patent.row_id, number=1, role="drawings", original="0" * 64,
        width=10, height=10,
    )  # fmt: skip
    figure = Figure(patent_row=patent.row_id, ordinal=1, number="1", label="FIG. 1", caption="FIG. 1 is a front view")
    session.add_all([sheet, figure])
    session.add_all(
        Citation(patent_row=patent.row_id, number=number, raw_number=number, office="US") for number in design.cites
    )
    session.flush()
    for number, vector in enumerate(design.vectors, start=1):
        facts["view"] = dict(enumerate(design.views, start=1)).get(number)
        drawing = Drawing(
            **facts, words=words_of(design.title or "", ""), drawing_id=f"{design.id}-S_{number}",
            patent_row=patent.row_id, sheet_row=sheet.row_id, figure_row=figure.row_id if number == 1 else None,
            number=number, original="0" * 64, derivative=f"{design.id}-{number}", width=10, height=10,
            added_in=snapshot,
        )  # fmt: skip
        session.add(drawing)
        session.flush()
        if vector is not None:
            embedding = Embedding(
                **facts, encoder=encoder.number, drawing_row=drawing.row_id, drawing_id=drawing.drawing_id,
                derivative=drawing.derivative, vector=list(vector), added_in=snapshot,
            )  # fmt: skip
            session.add(embedding)


def draw(width: int, height: int) -> bytes:
    """A PNG of a slanted line on white."""
    picture = Image.new("L", (width, height), "white")
    ImageDraw.Draw(picture).line((0, height, width, 0), fill="black", width=3)
    return encode_png(picture)


def store_pictures(session: Session, *, original: bytes) -> None:
    """Let this be the picture of every drawing: as original and as derivative in the object store."""
    objects, derivative = store.get_store(), derivative_of(original)
    names = {"original": store.content_hash(original), "derivative": store.content_hash(derivative)}
    store.put_once(objects, store.original_key(names["original"]), original)
    store.put_once(objects, store.derivative_key(names["derivative"]), derivative)
    session.execute(update(Drawing).values(names))
    session.commit()


def problem_of(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem document of an answer, after a look at what all of them have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"urn:linework:problem:{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


@pytest.fixture
def short_leases(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that a test can wait for."""
    monkeypatch.setenv("LEASE_SECONDS", str(LEASE))
    get_settings.cache_clear()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Workers, or callers. What one raises comes out of its future."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


NewJob = Callable[..., UUID]


@pytest.fixture
def new_job(session: Session) -> NewJob:
    """Makes a job's row, by default a queued ingest job of the caller of a gateway without keys."""

    def make(kind: str = "ingest", **values: Any) -> UUID:
        job = Job(kind=kind, **{"owner": "local", **values})
        session.add(job)
        session.commit()
        return job.id

    return make


def look(session: Session, job_id: UUID) -> Job:
    """The job's row as it is now."""
    session.rollback()
    return session.get_one(Job, job_id, populate_existing=True)


def change(session: Session, job_id: UUID, **values: Any) -> None:
    session.rollback()
    session.execute(update(Job).where(Job.id == job_id).values(**values))
    session.commit()


def long_ago() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)


@pytest.fixture
def empty_corpus(session: Session) -> Session:
    """For properties: a session on a corpus that `wipe` makes empty again, quicker than a new database."""
    return session


def wipe(session: Session) -> None:
    session.rollback()
    session.execute(text("TRUNCATE patents, sheets, figures, citations, drawings, embeddings, jobs, searches CASCADE"))
    session.commit()
