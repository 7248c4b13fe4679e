"""The bulk embed job on a real database: what is missing is embedded, once, whatever happens meanwhile."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from linework_core import encoders, store
from linework_core.corpus import close_patent, current_snapshot, next_snapshot
from linework_core.imaging import derivative_hash, derivative_of, open_image
from linework_core.jobs import runner, service
from linework_core.tables import Drawing, Embedding, EmbedFailure, Job, VectorIndex
from linework_embedder import bulk
from linework_embedder.bulk import BulkEmbedder
from linework_embedder.served import open_derivative
from linework_vision import load
from tests.embedder.conftest import mean_grey
from tests.embedder.corpus import add_patent, counts, failures, make_active, put, read, start, start_at_once, vectors
from tests.waiting import PATIENCE


def test_every_open_drawing_gets_its_vector(session, engine, objects, embedder, encoder, scripted):
    greys = range(0, 200, 10)
    add_patent(session, objects, "USD0000001", greys)
    session.commit()
    job = start(engine, embedder, encoder)
    assert job.state == "succeeded", job.error
    assert counts(job) == (20, 20, 0, 0)
    assert job.result == {"encoder": encoder.encoder_id, "embedded": 20, "failed": 0}
    found = vectors(session, encoder)
    for number, grey in enumerate(greys, start=1):
        png = store.get(objects, store.derivative_key(put(objects, grey)))
        expected = scripted.encode_drawings([scripted.preprocess(open_derivative(png))])[0]
        assert found[f"USD0000001-S_{number}"] == pytest.approx(expected, abs=1e-3)  # halfvec


def test_a_vector_carries_what_its_drawing_is_filtered_by(session, engine, objects, embedder, encoder):
    add_patent(session, objects, "USD0000001", [5])
    session.commit()
    start(engine, embedder, encoder)
    row, drawing = session.scalars(select(Embedding)).one(), session.scalars(select(Drawing)).one()
    for column in ("patent_id", "office", "granted", "filed", "priority", "locarno", "view", "derivative"):
        assert getattr(row, column) == getattr(drawing, column)
    assert row.added_in == current_snapshot(session) > drawing.added_in


def test_running_it_again_changes_nothing(session, engine, objects, embedder, encoder, scripted):
    add_patent(session, objects, "USD0000001", [1, 2, 3])
    session.commit()
    start(engine, embedder, encoder)
    before, snapshot = vectors(session, encoder), current_snapshot(session)
    scripted.batches.clear()
    session.rollback()
    job = start(engine, embedder, encoder)
    assert counts(job) == (0, 0, 0, 0)
    assert scripted.batches == []
    assert current_snapshot(session) == snapshot
    assert vectors(session, encoder).keys() == before.keys()


def test_the_model_works_in_batches_of_the_settings_size(session, engine, objects, embedder, encoder, scripted):
    add_patent(session, objects, "USD0000001", range(20))
    session.commit()
    start(engine, embedder, encoder)
    assert scripted.batches == [8, 8, 4]


def test_equal_derivatives_are_computed_once(session, engine, objects, embedder, encoder, scripted):
    add_patent(session, objects, "USD0000001", [7, 7, 8])
    session.commit()
    assert counts(start(engine, embedder, encoder)) == (3, 3, 0, 0)
    add_patent(session, objects, "USD0000002", [8, 7])
    session.commit()
    assert counts(start(engine, embedder, encoder)) == (2, 2, 0, 0)
    assert scripted.batches == [2]
    found = vectors(session, encoder)
    assert np.array_equal(found["USD0000001-S_1"], found["USD0000002-S_2"])


def test_drawings_of_closed_patents_are_left_alone(session, engine, objects, embedder, encoder):
    patent = add_patent(session, objects, "USD0000001", [1])
    add_patent(session, objects, "USD0000002", [2])
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    assert counts(start(engine, embedder, encoder)) == (1, 1, 0, 0)
    assert vectors(session, encoder).keys() == {"USD0000002-S_1"}


def test_a_patent_that_is_closed_while_its_drawings_are_embedded_gets_no_vectors(
    session, engine, objects, embedder, encoder, scripted
):
    patent = add_patent(session, objects, "USD0000001", [1, 2])
    add_patent(session, objects, "USD0000002", [3])
    session.commit()

    def close_meanwhile(batch):
        with Session(engine) as other, other.begin():
            close_patent(other, other.merge(patent), next_snapshot(other))
        scripted.behaviour = mean_grey
        return mean_grey(batch)

    scripted.behaviour = close_meanwhile
    assert counts(start(engine, embedder, encoder)) == (3, 1, 2, 0)
    assert vectors(session, encoder).keys() == {"USD0000002-S_1"}


def test_drawings_that_arrive_meanwhile_are_embedded_too(session, engine, objects, embedder, encoder, scripted):
    add_patent(session, objects, "USD0000001", [1])
    session.commit()

    def ingest_meanwhile(batch):
        scripted.behaviour = mean_grey
        add_patent(session, objects, "USD0000002", [2, 3])
        session.commit()
        return mean_grey(batch)

    scripted.behaviour = ingest_meanwhile
    assert counts(start(engine, embedder, encoder)) == (3, 3, 0, 0)


def test_more_drawings_than_a_page_and_a_transaction_hold(
    session, engine, objects, embedder, encoder, scripted, monkeypatch
):
    monkeypatch.setattr(bulk, "PAGE", 7)
    monkeypatch.setattr(bulk, "WRITE_ROWS", 5)
    for number in range(4):
        add_patent(session, objects, f"USD000000{number}", range(number * 20, number * 20 + 15))
    session.commit()
    assert counts(start(engine, embedder, encoder)) == (60, 60, 0, 0)
    assert len(vectors(session, encoder)) == 60


def test_a_lost_or_bad_picture_is_set_aside_and_the_rest_goes_on(session, engine, objects, embedder, encoder):
    bad = "b" * 64
    store.put_once(objects, store.derivative_key(bad), b"no picture")
    add_patent(session, objects, "USD0000001", [1, None, 2])
    session.execute(update(Drawing).where(Drawing.number == 3).values(derivative=bad))
    session.commit()
    job = start(engine, embedder, encoder)
    assert job.state == "succeeded"
    assert counts(job) == (3, 1, 0, 2)
    lost, damaged = failures(session)
    assert "not-found" in lost.reason
    assert "unreadable-image" in damaged.reason
    assert lost.tries == damaged.tries == 1
    assert vectors(session, encoder).keys() == {"USD0000001-S_1"}


def test_a_drawing_without_a_finite_vector_is_set_aside(session, engine, objects, embedder, encoder, scripted):
    def poisoned(batch):
        features = mean_grey(batch)
        features[features[:, 0] == 66] = np.nan
        return features

    scripted.behaviour = poisoned
    add_patent(session, objects, "USD0000001", [1, 66, 2, 3])
    session.commit()
    assert counts(start(engine, embedder, encoder)) == (4, 3, 0, 1)
    assert "vector-not-finite" in failures(session)[0].reason


def test_what_failed_is_tried_again_when_it_is_due_after_growing_pauses(session, engine, objects, embedder, encoder):
    add_patent(session, objects, "USD0000001", [None])
    session.commit()
    pauses = []
    for _ in range(3):
        start(engine, embedder, encoder)
        pauses.append(session.scalar(select(EmbedFailure.next_try_at - func.now())).total_seconds())
        assert counts(start(engine, embedder, encoder)) == (0, 0, 0, 0)  # not due yet
        session.execute(update(EmbedFailure).values(next_try_at=func.now()))
        session.commit()
    assert pauses == pytest.approx([120, 240, 480], rel=0.05)
    found = put(objects, 9)
    session.execute(update(Drawing).values(derivative=found))
    session.commit()
    assert counts(start(engine, embedder, encoder)) == (1, 1, 0, 0)
    assert failures(session) == []


def test_a_model_that_fails_leaves_the_drawings_and_the_job_for_another_try(
    session, engine, objects, embedder, encoder, scripted
):
    def broken(batch):
        raise RuntimeError("kernel")

    scripted.behaviour = broken
    add_patent(session, objects, "USD0000001", [1])
    session.commit()
    job = start(engine, embedder, encoder)
    assert job.state == "queued"
    assert job.error["detail"] == "kernel"
    assert failures(session) == []


def test_an_index_is_ready_when_nothing_is_missing(session, engine, objects, embedder, encoder):
    other = encoders.register(session, load("debug:16").manifest)
    add_patent(session, objects, "USD0000001", [1, 2])
    session.commit()
    start(engine, embedder, other)
    assert session.get_one(VectorIndex, other.number).state == "ready"
    assert all(vector.shape == (16,) for vector in vectors(session, other).values())
    assert vectors(session, encoder) == {}


def test_a_job_that_is_cancelled_stops_and_keeps_what_it_has(
    session, engine, objects, embedder, encoder, scripted, monkeypatch
):
    monkeypatch.setattr(bulk, "WRITE_ROWS", 8)
    add_patent(session, objects, "USD0000001", range(28))
    add_patent(session, objects, "USD0000002", range(100, 128))
    session.commit()
    proceed = threading.Event()

    def slow(batch):
        if len(scripted.batches) > 2:
            proceed.wait(PATIENCE)
        return mean_grey(batch)

    scripted.behaviour = slow
    with Session(engine) as other, other.begin():
        job_id = service.ensure_embed_job(other, encoder).id
    worker = threading.Thread(target=runner.run_job, args=(job_id, embedder), kwargs={"engine": engine})
    worker.start()
    while len(scripted.batches) <= 2:
        time.sleep(0.01)
    with Session(engine) as other, other.begin():
        service.cancel(other, other.get_one(Job, job_id), owner=None)
    lease = read(engine, job_id).lease_until
    while read(engine, job_id).lease_until == lease:
        time.sleep(0.05)
    time.sleep(0.2)  # the heartbeat has read that the job is cancelled
    proceed.set()
    worker.join()
    job = read(engine, job_id)
    assert job.state == "cancelled"
    assert job.done == len(vectors(session, encoder)) == 16


def test_a_worker_that_is_asked_to_end_hands_the_job_back(session, engine, objects, embedder, encoder, scripted):
    add_patent(session, objects, "USD0000001", range(28))
    session.commit()

    def asked_to_end(batch):
        runner.stopping.set()
        return mean_grey(batch)

    scripted.behaviour = asked_to_end
    try:
        job = start(engine, embedder, encoder)
    finally:
        runner.stopping.clear()
        scripted.behaviour = mean_grey
    assert (job.state, job.lease_holder) == ("queued", None)
    assert counts(start(engine, embedder, encoder)) == (28, 28, 0, 0)


def test_two_workers_at_once_write_nothing_twice(session, engine, objects, settings, encoder):
    """As when a worker was thought dead: one of the two has lost its lease and can commit nothing."""
    add_patent(session, objects, "USD0000001", range(28))
    session.commit()
    workers = [BulkEmbedder(settings, objects) for _ in range(2)]
    assert counts(start_at_once(engine, workers, encoder)) == (28, 28, 0, 0)
    assert len(vectors(session, encoder)) == 28


def test_changed_weights_fail_the_job_and_write_nothing(session, engine, objects, embedder):
    changed = load("debug:8").manifest.model_copy(update={"id": "debug-8-old", "content_hash": "f" * 64})
    encoder = encoders.register(session, changed)
    add_patent(session, objects, "USD0000001", [1])
    session.commit()
    job = start(engine, embedder, encoder)
    assert job.state == "failed"
    assert job.error["type"] == "encoder-changed"


def test_hog_vectors_of_real_pictures_come_back_as_they_were_made(session, engine, objects, embedder, real_data: Path):
    """End to end with the default encoder, on real segmented drawings."""
    hog = load("hog")
    encoder = make_active(session, "hog")
    files = sorted((real_data / "deeppatent2" / "figures").glob("*.png"))[:5]
    patent = add_patent(session, objects, "USD0000001", range(len(files)))
    expected = {}
    for number, file in enumerate(files, start=1):
        png = derivative_of(file.read_bytes())
        found_under = derivative_hash(open_image(png))
        store.put_once(objects, store.derivative_key(found_under), png)
        session.execute(
            update(Drawing)
            .where(Drawing.patent_row == patent.row_id, Drawing.number == number)
            .values(derivative=found_under)
        )
        expected[f"USD0000001-S_{number}"] = hog.encode_drawings([hog.preprocess(open_image(png))])[0]
    session.commit()
    start(engine, embedder, encoder)
    found = vectors(session, encoder)
    assert found.keys() == expected.keys()
    assert all(found[name] @ expected[name] > 0.9999 for name in expected)
