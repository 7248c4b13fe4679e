"""The bulk embed worker: `celery -A linework_embedder.worker worker -Q embed -P solo`.

The pool is solo because CUDA does not survive a fork: the process that loads the model runs the job.
"""

import signal
import time
from functools import cache
from typing import Any

import structlog
from celery.signals import worker_init, worker_shutting_down
from sqlalchemy.exc import SQLAlchemyError

from linework_core.db import get_engine
from linework_core.errors import LineworkError
from linework_core.jobs import runner
from linework_core.jobs.runner import Run
from linework_core.queues import make_celery
from linework_core.settings import get_settings
from linework_core.store import get_store
from linework_embedder.bulk import BulkEmbedder
from linework_embedder.encoding import is_fatal
from linework_embedder.roster import ensure_active_encoder

log = structlog.get_logger()
app = make_celery("embedder-bulk")


@cache
def embedder() -> BulkEmbedder:
    """The worker's embedder; its model is loaded with the first job."""
    return BulkEmbedder(get_settings(), get_store())


@app.task(name="linework.embed.run")
def run(job_id: str) -> None:
    """Run the embed job whose turn it is."""
    runner.run_next({"embed": _embed})


def _embed(run: Run) -> dict[str, Any]:
    try:
        return embedder()(run)
    except Exception as error:
        if is_fatal(error):  # nothing more works in this process: its supervisor starts another
            signal.raise_signal(signal.SIGTERM)
        raise


@worker_init.connect
def _ensure_active_encoder(**_: object) -> None:
    """A first start makes the default encoder the active one. Waits for the database and its schema."""
    while True:
        try:
            ensure_active_encoder(get_engine(), get_settings())
            return
        except SQLAlchemyError as error:
            log.warning("waiting_for_database", error=str(error).splitlines()[0])
            time.sleep(1)
        except LineworkError as error:  # other encoders' jobs can be run all the same
            log.error("no_default_encoder", reason=error.detail)
            return


@worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    runner.stopping.set()
