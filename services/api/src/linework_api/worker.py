"""The ingest worker: `celery -A linework_api.worker worker -Q ingest -P threads -c 2`."""

from functools import cache
from uuid import UUID

from celery.signals import worker_shutting_down

from linework_api.ingest.runner import Ingest, withdraw
from linework_core.bounded import Decoder
from linework_core.jobs import runner
from linework_core.jobs.runner import Run
from linework_core.queues import make_celery
from linework_core.settings import get_settings
from linework_core.store import get_store

app = make_celery("ingest")


@cache
def decoder() -> Decoder:
    """The worker's decoding children, started with the first job."""
    return Decoder()


@app.task(name="linework.ingest.run")
def run(job_id: str) -> None:
    """Run an ingest job, if it waits for a worker."""
    runner.run_job(UUID(job_id), _ingest)


def _ingest(run: Run) -> dict[str, object]:
    if "withdraw" in run.params:
        return withdraw(run)
    return Ingest(run, get_settings(), get_store(), decoder())()


@worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    runner.stopping.set()
