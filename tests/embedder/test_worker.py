"""The worker as a real process: how it starts, how it is nudged, how it ends."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from linework_core import db, encoders, store
from linework_core.errors import Unavailable
from linework_core.jobs import service
from linework_core.settings import Settings
from linework_core.tables import Encoder
from linework_embedder.roster import ensure_active_encoder
from tests.embedder.corpus import add_patent, read, vectors
from tests.waiting import until
from tests.workers import NewWorker, workers

SLOW = "debug:8;delay_ms=250"


@pytest.fixture
def worker(settings: Settings) -> Iterator[NewWorker]:
    """Starts workers whose default encoder takes its time: two drawings in a quarter of a second."""
    with workers("linework_embedder.worker", "embed", DEFAULT_ENCODER=SLOW, EMBED_BATCH_SIZE="2") as start:
        yield start


def active(engine: Engine) -> Encoder | None:
    try:
        with Session(engine, expire_on_commit=False) as session:
            return encoders.active(session)
    except Unavailable:
        return None


def ask_for_embedding(engine: Engine, encoder: Encoder) -> UUID:
    with db.transaction(engine) as session:
        return service.ensure_embed_job(session, encoder).id


def test_a_worker_activates_the_default_encoder_embeds_and_hands_its_job_back_when_it_is_to_end(engine, worker):
    with db.transaction(engine) as session:
        add_patent(session, store.get_store(), "USD0000001", range(28))
    first = worker()
    until(lambda: active(engine) is not None)
    encoder = active(engine)
    job_id = ask_for_embedding(engine, encoder)
    until(lambda: read(engine, job_id).done >= 4)

    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    job = read(engine, job_id)
    assert (job.state, job.lease_holder) == ("queued", None)
    assert 4 <= job.done < 28

    worker()  # the job's message was sent again when it was handed back
    until(lambda: read(engine, job_id).state == "succeeded")
    job = read(engine, job_id)
    with Session(engine) as session:
        assert job.done == len(vectors(session, encoder)) == 28


def test_any_number_of_processes_may_be_first(engine, settings):
    settings = settings.model_copy(update={"default_encoder": "debug:8"})
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ensure_active_encoder(engine, settings).encoder_id, range(8)))
    assert len(set(made)) == 1


def test_an_index_that_is_active_stays_so_whatever_the_default_is(engine, settings):
    first = ensure_active_encoder(engine, settings.model_copy(update={"default_encoder": "debug:8"}))
    second = ensure_active_encoder(engine, settings.model_copy(update={"default_encoder": "debug:16"}))
    assert first.encoder_id == second.encoder_id
