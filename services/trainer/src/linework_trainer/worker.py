"""The trainer's worker: `celery -A linework_trainer.worker worker -Q evaluate,train -P solo`.

The pool is solo because CUDA does not survive a fork. Torch is loaded with the first job: a worker that waits is small.
"""

from typing import Any

from celery.signals import worker_shutting_down

from linework_core.jobs import runner
from linework_core.jobs.runner import Run
from linework_core.queues import make_celery, read_by
from linework_core.settings import get_settings
from linework_core.store import get_store

app = make_celery("trainer")


@app.task(name="linework.evaluate.run")
def evaluate(job_id: str) -> None:
    """Run the job whose turn it is: an evaluation or a training."""
    runner.run_next(read_by(app, HANDLERS))


def _evaluate(run: Run) -> dict[str, Any]:
    from linework_trainer.evaluation.job import evaluate

    return evaluate(run, get_settings(), get_store())


@app.task(name="linework.train.run")
def train(job_id: str) -> None:
    """The same, told by the other queue."""
    evaluate(job_id)


def _train(run: Run) -> dict[str, Any]:
    from linework_trainer.training.job import train

    return train(run, get_settings(), get_store())


HANDLERS = {"evaluate": _evaluate, "train": _train}


@worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    runner.stopping.set()
