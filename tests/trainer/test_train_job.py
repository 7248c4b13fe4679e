"""A train job from its order to a registered encoder, on real servers."""

import datetime as dt
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import safetensors.torch
import torch
from obstore.store import ObjectStore
from PIL import Image
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from linework_core import store
from linework_core.jobs import runner, service
from linework_core.recipes import TrainingOrder
from linework_core.settings import Settings
from linework_core.tables import Drawing, Encoder, Job
from linework_trainer.data.corpus import read_corpus
from linework_trainer.training.job import train
from linework_trainer.training.stage import StageRun
from linework_vision import load
from linework_vision.errors import WeightsUnavailable
from linework_vision.stored import fetch_checkpoint
from tests.trainer.corpus import add_designs

TINY = {
    "model": {"backbone": "test_resnet", "image_size": 32},
    "precision": "fp32",
    "stages": {"main": {"epochs": 2, "batch_size": 8, "together": 2}},
    "validation": {"share": 0.2},
}


def order_of(session: Session, snapshot: int, recipe: str = "linework", **order: Any) -> UUID:
    """A train job, as the gateway makes it."""
    overrides = order.pop("overrides", TINY)
    params = TrainingOrder(recipe=recipe, overrides=overrides, **order).model_dump(mode="json")
    job = service.create(session, "train", {**params, "snapshot": snapshot}, owner="test")
    session.commit()
    return job.id


def run(job_id: UUID, settings: Settings, engine: Engine) -> Job:
    runner.run_job(job_id, lambda run: train(run, settings, store.get_store()), engine=engine)
    with Session(engine, expire_on_commit=False) as session:
        return session.get_one(Job, job_id)


def test_a_job_trains_an_encoder_that_any_machine_can_load(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore, tmp_path: Path
) -> None:
    snapshot = add_designs(session, objects, 12)
    job = run(order_of(session, snapshot, name="ours"), settings, engine)
    assert job.state == "succeeded", job.error
    result = job.result or {}
    assert job.done == job.total
    encoder = session.scalars(select(Encoder)).one()
    assert encoder.encoder_id == result["encoder"]
    assert encoder.name == "ours"
    assert encoder.spec == result["spec"]
    assert encoder.spec.startswith("checkpoint:sha256:")
    assert encoder.has_text
    assert result["data"]["drawings"] + result["data"]["kept_back"] == 36
    assert session.scalars(select(Job.state).where(Job.kind == "embed")).all() == ["queued"]
    _look_at_artefacts(objects, result)

    forget_cache(settings)  # another machine
    loaded = load(encoder.spec)
    assert loaded.manifest.content_hash == encoder.content_hash
    drawings = [loaded.preprocess(Image.new("L", (64, 64), grey)) for grey in (0, 255)]
    assert loaded.encode_drawings(drawings).shape == loaded.encode_texts(["a lamp", "a chair"]).shape == (2, 384)
    assert not list((settings.cache_dir / "trainings").iterdir())
    assert not list((tmp_path / "objects" / "trainings").rglob("state"))


def _look_at_artefacts(objects: ObjectStore, result: dict[str, Any]) -> None:
    artefacts = {name: store.get(objects, store.artefact_key(key)) for name, key in result["artefacts"].items()}
    assert artefacts["curves.png"].startswith(b"\x89PNG")
    assert any(name.startswith("events.out.tfevents.") for name in artefacts)
    card = artefacts["card.md"].decode()
    for told in ("# ours", "linework", "abc123", "Apache-2.0", "Corpus snapshot", "mAP"):
        assert told in card


def forget_cache(settings: Settings) -> None:
    shutil.rmtree(settings.cache_dir / "checkpoints")


def test_a_stored_checkpoint_that_was_changed_is_not_loaded(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    job = run(order_of(session, add_designs(session, objects, 6)), settings, engine)
    name = (job.result or {})["spec"].removeprefix("checkpoint:")
    forget_cache(settings)
    store.put(objects, store.checkpoint_key(name.removeprefix("sha256:")), b"something else")
    with pytest.raises(WeightsUnavailable, match="something else"):
        fetch_checkpoint(name)


def test_nothing_published_on_or_after_the_day_is_trained_on(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    add_designs(session, objects, 10, year=2015)
    snapshot = add_designs(session, objects, 10, first=10, year=2020)
    session.execute(update(Drawing).where(Drawing.patent_id == "USD0000003").values(granted=None))
    session.commit()
    cut = dt.date(2020, 1, 1)
    order = TrainingOrder(recipe="linework", before=cut)
    found = read_corpus(session, order.scope(snapshot), order.load_recipe().texts)
    known = {f"USD{number:07}" for number in range(10)} - {"USD0000003"}
    assert set(found.patents) == known
    later = {f"{word} {number}" for number in range(10, 20) for word in ("lamp", "chair", "bottle", "shoe", "clock")}
    assert not later & {text for own in found.texts for text in own}


def test_what_was_published_later_changes_nothing_of_the_training(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    """The same weights to the last bit, whether or not the corpus holds the future: head and tail, class counts and
    the numbers of labels come from the past alone.
    """
    cut = dt.date(2020, 1, 1)
    before = run(order_of(session, add_designs(session, objects, 8, year=2015), before=cut), settings, engine)
    snapshot = add_designs(session, objects, 20, first=8, year=2020, locarno="21-01")
    after = run(order_of(session, snapshot, before=cut), settings, engine)
    weights = []
    for job in (before, after):
        folder = fetch_checkpoint((job.result or {})["spec"].removeprefix("checkpoint:"))
        weights.append((folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_without_descriptions_a_recipe_that_needs_them_says_what_to_do(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    job = run(order_of(session, add_designs(session, objects, 4, described=False)), settings, engine)
    assert job.state == "failed"
    assert (job.error or {})["type"] == "nothing-to-train-on"
    assert "POST /enrich" in (job.error or {})["detail"]


def test_captions_will_do_where_a_recipe_asks_for_no_more(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    snapshot = add_designs(session, objects, 2, described=False)
    order = TrainingOrder(recipe="lo2024-ablation-clip")
    found = read_corpus(session, order.scope(snapshot), order.load_recipe().texts)
    assert found.texts[:3] == [("FIG. 1 shows the lamp 0",), ("Lamp 0",), ("Lamp 0",)]


def test_a_training_that_diverges_fails_with_its_reason_and_is_not_tried_again(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    wild = {**TINY, "stages": {"main": {**TINY["stages"]["main"], "lr": 1e18, "clip_norm": None, "warmup": 0}}}
    job = run(order_of(session, add_designs(session, objects, 8), overrides=wild), settings, engine)
    assert job.state == "failed"
    assert (job.error or {})["type"] == "training-diverged"
    assert "learning rate" in (job.error or {})["detail"]
    assert session.scalars(select(Encoder)).all() == []


def test_a_running_training_tells_how_it_goes_and_is_cancelled_within_seconds(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    endless = {**TINY, "stages": {"main": {**TINY["stages"]["main"], "epochs": 100_000}}}
    job_id = order_of(session, add_designs(session, objects, 8), overrides=endless)
    ended: list[Job] = []
    worker = threading.Thread(target=lambda: ended.append(run(job_id, settings, engine)))
    worker.start()
    while not (job := look(session, job_id)).done:
        assert worker.is_alive(), job.error
        time.sleep(0.1)
    report = (job.result or {})["training"]
    assert {"epoch", "step", "losses", "s", "temperature", "lr", "images_per_second", "eta_seconds"} <= set(report)
    assert job.total == report["total"]
    service.cancel(session, job, owner=None)
    session.commit()
    worker.join(timeout=60)
    assert not worker.is_alive()
    assert ended[0].state == "cancelled"


def look(session: Session, job_id: UUID) -> Job:
    session.rollback()
    return session.get_one(Job, job_id, populate_existing=True)


def test_a_training_handed_back_goes_on_and_ends_with_the_weights_of_one_that_was_not(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = add_designs(session, objects, 8)
    straight = run(order_of(session, snapshot), settings, engine)
    job_id = order_of(session, snapshot)
    taken = _interrupt_after_steps(monkeypatch, 2)
    assert run(job_id, settings, engine).state == "queued"
    assert len(taken) == 3
    runner.stopping.clear()
    session.execute(update(Job).where(Job.id == job_id).values(not_before=dt.datetime.now(dt.UTC)))
    session.commit()
    resumed = run(job_id, settings, engine)
    assert resumed.state == "succeeded", resumed.error
    assert len(taken) == resumed.total  # none was taken twice
    assert (resumed.result or {})["encoder"] == (straight.result or {})["encoder"]


def _interrupt_after_steps(monkeypatch: pytest.MonkeyPatch, steps: int) -> list[int]:
    """The process is asked to end while the training is at work. The list grows with each step that is taken."""
    step, taken = StageRun.step, list[int]()

    def counted(self: StageRun, number: int, batches: Any) -> Any:
        taken.append(number)
        if len(taken) == steps + 1:
            runner.stopping.set()
        return step(self, number, batches)

    monkeypatch.setattr(StageRun, "step", counted)
    return taken


def test_two_processes_train_what_one_trains(
    settings: Settings, engine: Engine, session: Session, objects: ObjectStore
) -> None:
    """By torchrun and gloo, with a network without batch statistics, which two processes would take apart."""
    snapshot = add_designs(session, objects, 8)
    still = {"horizontal_flip": 0, "line_width": 0, "rotation": 0, "smallest_crop": 1, "crop_stretch": 1}
    overrides = {
        **TINY, "augmentation": {**still, "erasing": 0, "grid_mask": 0}, "validation": {"share": 0},
        "model": {"backbone": "test_vit", "image_size": 32, "pooling": "backbone"},
    }  # fmt: skip
    results = []
    for processes in (1, 2):
        several = settings.model_copy(update={"train_processes": processes})
        job = run(order_of(session, snapshot, overrides=overrides), several, engine)
        assert job.state == "succeeded", job.error
        results.append(job.result or {})
    one, two = (result["last_step"] for result in results)
    assert one["total"] == pytest.approx(two["total"], rel=1e-3)
    assert one["temperature"] == pytest.approx(two["temperature"], rel=1e-5)
    states = [
        safetensors.torch.load_file(fetch_checkpoint(result["spec"].removeprefix("checkpoint:")) / "model.safetensors")
        for result in results
    ]
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-2, atol=1e-4)
