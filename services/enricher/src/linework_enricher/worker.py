"""The enricher: `celery -A linework_enricher.worker worker -Q enrich -P solo`.

The pool is solo because one process with an event loop keeps hundreds of calls in flight; more of them only help
where checking the answers takes more than a core. Limits of the providers hold over all of them.
"""

from functools import cache

from celery.signals import worker_shutting_down

from linework_core.jobs import runner
from linework_core.queues import make_celery
from linework_core.settings import get_settings
from linework_core.store import get_store
from linework_enricher.job import Enricher

app = make_celery("enricher")


@cache
def enricher() -> Enricher:
    return Enricher(get_settings(), get_store())


@app.task(name="linework.enrich.run")
def run(job_id: str) -> None:
    """Run the enrich job whose turn it is."""
    runner.run_next({"enrich": enricher()})


@worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    runner.stopping.set()
