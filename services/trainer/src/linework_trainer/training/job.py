"""A train job: prepares, trains, and registers what came of it."""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from obstore.store import ObjectStore
from sqlalchemy import select

from linework_core import encoders, store
from linework_core.jobs import service
from linework_core.jobs.objects import training_state
from linework_core.jobs.runner import Cancelled, Run
from linework_core.recipes import TrainingOrder
from linework_core.settings import Settings
from linework_core.tables import Job
from linework_trainer.training.artefacts import CURVES, draw_curves, write_events
from linework_trainer.training.launch import launch
from linework_trainer.training.loop import Report
from linework_trainer.training.plan import CHECKPOINT, OUTCOME, Plan
from linework_trainer.training.preparing import Preparation
from linework_vision import load
from linework_vision.checkpoint import CARD
from linework_vision.stored import put_checkpoint

log = structlog.get_logger()
LOOK_S = 2.0  # between two looks whether the job was cancelled


def train(run: Run, settings: Settings, objects: ObjectStore) -> dict[str, Any]:
    """The handler of train jobs. Raises NothingToTrainOn, BadRecipe, WeightsUnavailable, Diverged, ProcessFailed,
    NoTemplate, Unavailable, and Stopped when the run should end.
    """
    params = dict(run.params)
    snapshot = int(params.pop("snapshot"))
    order = TrainingOrder.model_validate(params)
    folder = settings.cache_dir / "trainings" / f"{run.job_id}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    try:
        return _train(run, settings, objects, folder, order, snapshot, training_state(run.job_id))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _train(
    run: Run, settings: Settings, objects: ObjectStore, folder: Path, order: TrainingOrder, snapshot: int, key: str
) -> dict[str, Any]:
    listener = JobListener(run)
    prepared = Preparation(folder, settings, objects, listener.checkpoint)(run.engine, order, snapshot, key)
    launch(folder, listener, settings)
    return {"data": asdict(prepared), **_publish(run, settings, objects, folder)}


class JobListener:
    """Writes a training's reports into its job: the counts are steps, and the latest report is the result so far."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._looked = time.monotonic()
        self._done: int | None = None

    def checkpoint(self) -> None:
        """Raises Stopped. The database is asked every two seconds: the lease's heartbeat would take longer."""
        self._run.checkpoint()
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            with self._run.transaction() as session:
                if session.scalar(select(Job.cancel_requested).where(Job.id == self._run.job_id)):
                    self._run.interrupted = Cancelled
            self._run.checkpoint()

    def tell(self, report: Report) -> None:
        """Write a report down. `done` counts steps of all stages."""
        if self._done is None:
            self._run.start_counting(total=report["total"])
            self._done = 0
        with self._run.transaction() as session:
            self._run.tell(session, done=report["done"] - self._done)
            session.execute(self._run.mine().values(result={"training": report}))
        self._done = report["done"]


def _publish(run: Run, settings: Settings, objects: ObjectStore, folder: Path) -> dict[str, Any]:
    """Store the checkpoint and the artefacts, and register the encoder; its index will be filled."""
    plan = Plan.read(folder)
    outcome = json.loads((folder / OUTCOME).read_text())
    spec = put_checkpoint(objects, folder / CHECKPOINT)
    artefacts = _artefacts(objects, folder, plan, outcome)
    manifest = load(spec, precision=settings.precision).manifest
    with run.transaction() as session:
        encoder = encoders.register(session, manifest)
        service.ensure_embed_job(session, encoder)
    rows = outcome["history"]
    last = {name: value for name, value in rows[-1].items() if name not in ("stage", "step")} if rows else {}
    log.info("trained", encoder=encoder.encoder_id, images=outcome["images"], seconds=outcome["seconds"])
    return {
        "encoder": encoder.encoder_id,
        "spec": spec,
        "images": outcome["images"],
        "seconds": outcome["seconds"],
        "last_step": last,
        "validation": outcome["looks"],
        "artefacts": artefacts,
    }


def _artefacts(objects: ObjectStore, folder: Path, plan: Plan, outcome: dict[str, Any]) -> dict[str, str]:
    """Names and SHA-256s, the keys in the object store."""
    draw_curves(folder / CURVES, outcome["history"], outcome["looks"], plan.config.name)
    events = write_events(folder / "events", outcome["history"], outcome["looks"])
    files = {CURVES: folder / CURVES, "card.md": folder / CHECKPOINT / CARD}
    files |= {file.name: file for file in events}
    found = {}
    for name, file in files.items():
        data = file.read_bytes()
        found[name] = store.content_hash(data)
        store.put_once(objects, store.artefact_key(found[name]), data)
    return found
