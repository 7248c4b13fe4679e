"""Vectors of descriptions: computed as a difference by the embed job, one a drawing, whatever happens meanwhile."""

import numpy as np
import pytest
from numpy.typing import NDArray
from obstore.store import ObjectStore
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.corpus import close_patent, current_snapshot, next_snapshot
from linework_core.jobs.reconcile import plan_embedding
from linework_core.tables import (
    Description,
    DescriptionVector,
    DescriptionVectorFailure,
    Drawing,
    Encoder,
    Job,
    Patent,
    VectorIndex,
)
from linework_embedder import described
from linework_embedder.bulk import BulkEmbedder
from linework_vision import load
from tests import descriptions
from tests.embedder.conftest import mean_grey
from tests.embedder.corpus import add_patent, counts, start, start_at_once


@pytest.fixture
def patent(session: Session, objects: ObjectStore, engine: Engine, embedder: BulkEmbedder, encoder: Encoder) -> Patent:
    """Three drawings that have their vectors already."""
    made = add_patent(session, objects, "USD0000001", [1, 2, 3])
    session.commit()
    start(engine, embedder, encoder)
    return made


def describe(session: Session, number: int, *texts: str, recipe: str = "first") -> None:
    """A set of texts about a drawing of the patent."""
    descriptions.describe(session, f"USD0000001-S_{number}", *texts, recipe=recipe)


def open_vectors(session: Session) -> dict[int, NDArray[np.float32]]:
    """By the drawing's number."""
    session.rollback()
    rows = session.execute(
        select(Drawing.number, DescriptionVector.vector)
        .join(Drawing, Drawing.row_id == DescriptionVector.drawing_row)
        .where(DescriptionVector.removed_in.is_(None))
    )
    return {number: np.array(vector, dtype=np.float32) for number, vector in rows}


def all_vectors(session: Session) -> list[DescriptionVector]:
    session.rollback()
    return list(session.scalars(select(DescriptionVector).order_by(DescriptionVector.added_in)))


def test_a_set_gets_the_unit_mean_of_its_texts_unit_vectors(session, engine, embedder, encoder, scripted, patent):
    texts = ("short", "of middling length", "x" * 200)
    describe(session, 1, *texts)
    job = start(engine, embedder, encoder)
    assert (job.state, counts(job)) == ("succeeded", (1, 1, 0, 0)), job.error
    mean = scripted.encode_texts(texts).mean(axis=0)
    found = open_vectors(session)
    assert found.keys() == {1}
    assert found[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-3)  # halfvec
    assert np.linalg.norm(found[1]) == pytest.approx(1.0, abs=1e-2)
    [row] = all_vectors(session)
    assert row.added_in == current_snapshot(session)


def test_drawings_and_descriptions_of_one_job_are_counted_together(
    session, engine, objects, embedder, encoder, scripted
):
    add_patent(session, objects, "USD0000001", [1, 2])
    session.commit()
    describe(session, 1, "a lamp")
    assert counts(start(engine, embedder, encoder)) == (3, 3, 0, 0)


def test_running_it_again_changes_nothing(session, engine, embedder, encoder, scripted, patent):
    describe(session, 1, "a lamp")
    start(engine, embedder, encoder)
    session.rollback()
    scripted.batches.clear()
    snapshot = current_snapshot(session)
    assert counts(start(engine, embedder, encoder)) == (0, 0, 0, 0)
    session.rollback()
    assert (scripted.batches, current_snapshot(session)) == ([], snapshot)


def test_equal_texts_of_one_design_go_through_the_model_once(session, engine, embedder, encoder, scripted, patent):
    shared = [f"shared text {n}" for n in range(6)]
    for number in (1, 2, 3):
        describe(session, number, *shared, f"of view number {number}")
    scripted.batches.clear()
    start(engine, embedder, encoder)
    assert scripted.batches == [8, 1]
    assert len(open_vectors(session)) == 3


def test_a_newer_set_takes_the_place_of_the_older_when_its_vector_is_there(
    session, engine, embedder, encoder, scripted, patent
):
    describe(session, 1, "short")
    start(engine, embedder, encoder)
    describe(session, 1, "x" * 200, recipe="second")
    assert len(open_vectors(session)) == 1  # the older one's, until then
    start(engine, embedder, encoder)
    older, newer = all_vectors(session)
    assert (older.removed_in, newer.removed_in) == (newer.added_in, None)
    assert open_vectors(session)[1] == pytest.approx(scripted.encode_texts(["x" * 200])[0], abs=1e-3)


def test_a_set_that_was_replaced_before_its_turn_gets_no_vector(session, engine, embedder, encoder, scripted, patent):
    def replace_meanwhile(batch):
        scripted.behaviour = mean_grey
        with Session(engine) as other:
            describe(other, 1, "second", recipe="second")
        return mean_grey(batch)

    describe(session, 1, "first")
    scripted.behaviour = replace_meanwhile
    assert counts(start(engine, embedder, encoder)) == (2, 1, 1, 0)
    [row] = all_vectors(session)
    newest = select(Description.id).where(Description.removed_in.is_(None))
    assert row.description == session.scalar(newest)


def test_descriptions_of_a_patent_that_is_closed_meanwhile_get_no_vectors(
    session, engine, embedder, encoder, scripted, patent
):
    def close_meanwhile(batch):
        scripted.behaviour = mean_grey
        with Session(engine) as other, other.begin():
            close_patent(other, other.merge(patent), next_snapshot(other))
        return mean_grey(batch)

    describe(session, 1, "a lamp")
    scripted.behaviour = close_meanwhile
    assert counts(start(engine, embedder, encoder)) == (1, 0, 1, 0)
    assert all_vectors(session) == []


def test_closing_a_patent_closes_its_description_vectors(session, engine, embedder, encoder, scripted, patent):
    describe(session, 1, "a lamp")
    start(engine, embedder, encoder)
    session.rollback()
    snapshot = next_snapshot(session)
    close_patent(session, session.get_one(Patent, patent.row_id), snapshot)
    session.commit()
    assert [row.removed_in for row in all_vectors(session)] == [snapshot]


def test_a_text_without_a_finite_vector_is_left_out_of_the_mean(session, engine, embedder, encoder, scripted, patent):
    def poisoned(batch):
        features = mean_grey(batch)
        features[features[:, 0] == 6] = np.nan
        return features

    scripted.behaviour = poisoned
    describe(session, 1, "sixsix", "a lamp, in short")
    assert counts(start(engine, embedder, encoder)) == (1, 1, 0, 0)
    scripted.behaviour = mean_grey
    assert open_vectors(session)[1] == pytest.approx(scripted.encode_texts(["a lamp, in short"])[0], abs=1e-3)


def test_a_set_without_any_vector_is_set_aside_and_tried_again_after_growing_pauses(
    session, engine, embedder, encoder, scripted, patent
):
    def broken(batch):
        return np.full((len(batch), 8), np.nan)

    describe(session, 1, "a lamp")
    scripted.behaviour = broken
    pauses = []
    for _ in range(3):
        assert counts(start(engine, embedder, encoder)) == (1, 0, 0, 1)
        session.rollback()
        pause = select(DescriptionVectorFailure.next_try_at - func.now())
        pauses.append(session.scalar(pause).total_seconds())
        assert counts(start(engine, embedder, encoder)) == (0, 0, 0, 0)  # not due yet
        session.execute(update(DescriptionVectorFailure).values(next_try_at=func.now()))
        session.commit()
    assert pauses == pytest.approx([120, 240, 480], rel=0.05)
    assert "vector-not-finite" in session.scalar(select(DescriptionVectorFailure.reason))
    session.rollback()
    scripted.behaviour = mean_grey
    assert counts(start(engine, embedder, encoder)) == (1, 1, 0, 0)
    session.rollback()
    assert session.scalar(select(func.count()).select_from(DescriptionVectorFailure)) == 0


def test_an_encoder_without_a_text_tower_has_nothing_to_do_with_descriptions(session, engine, embedder, patent):
    plain = encoders.register(session, load("debug:16").manifest)
    session.commit()
    describe(session, 1, "a lamp")
    start(engine, embedder, plain)
    assert all_vectors(session) == []
    session.rollback()
    assert encoders.note_if_described(session, plain)


def test_the_beat_picks_new_descriptions_up(session, engine, embedder, encoder, scripted, patent):
    def waiting() -> int:
        session.rollback()
        plan_embedding(session)
        session.commit()
        undone = select(func.count()).select_from(Job).where(Job.kind == "embed", Job.state == "queued")
        return session.scalar(undone)

    assert waiting() == 0
    describe(session, 1, "a lamp")
    assert waiting() == 1
    assert waiting() == 1
    start(engine, embedder, encoder)
    assert waiting() == 0
    session.rollback()
    assert session.get_one(VectorIndex, encoder.number).described_at == current_snapshot(session)


def test_a_worker_that_dies_between_pages_loses_nothing_and_repeats_nothing(
    session, engine, embedder, encoder, scripted, patent, monkeypatch
):
    def dies(batch):
        if len(scripted.batches) > 1:
            raise RuntimeError("killed")
        return mean_grey(batch)

    monkeypatch.setattr(described, "PAGE", 1)
    for number in (1, 2, 3):
        describe(session, number, f"number {number}")
    scripted.batches.clear()
    scripted.behaviour = dies
    assert start(engine, embedder, encoder).state == "queued"
    first = [row.added_in for row in all_vectors(session)]
    assert len(first) == 1
    scripted.behaviour = mean_grey
    session.execute(update(Job).where(Job.state == "queued").values(not_before=func.now()))
    session.commit()
    job = start(engine, embedder, encoder)
    assert (job.state, job.done) == ("succeeded", 3)
    assert [row.added_in for row in all_vectors(session)][0:1] == first
    assert len(open_vectors(session)) == 3


def test_two_workers_at_once_write_nothing_twice(session, engine, objects, settings, encoder, scripted, patent):
    for number in (1, 2, 3):
        describe(session, number, f"number {number}")
    workers = [BulkEmbedder(settings, objects) for _ in range(2)]
    assert counts(start_at_once(engine, workers, encoder)) == (3, 3, 0, 0)
    assert len(all_vectors(session)) == 3
