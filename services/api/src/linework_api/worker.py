"""The worker for ingest and for batches of searches.

`celery -A linework_api.worker worker -Q ingest,search -P threads -c 2`
"""

from celery.signals import worker_shutting_down

from linework_api.batches.runner import BatchSearch
from linework_api.embedder_client import EmbedderClient
from linework_api.ingest.runner import Ingest
from linework_api.removals import jobs as removals
from linework_api.sheets.reading import read_sheet
from linework_api.state import SearchResources
from linework_core import nearest
from linework_core.bounded import Decoder
from linework_core.db import make_engine
from linework_core.jobs import runner
from linework_core.jobs.runner import Run
from linework_core.once import Once
from linework_core.queues import make_celery, read_by
from linework_core.settings import get_settings
from linework_core.store import get_store

app = make_celery("ingest")


@Once
def decoder() -> Decoder:
    """The worker's decoding children, started with the first job."""
    return Decoder(modules=[read_sheet.__module__])


@Once
def searching() -> SearchResources:
    """What batches need, made with the first: connections that are good at searching, and the embedder."""
    settings = get_settings()
    engine = make_engine(settings.database_url, pool_size=settings.pool_size)
    nearest.tune(engine)
    embedder = EmbedderClient(settings.embedder_url, token=settings.own_secret("internal_token"))
    return SearchResources(settings, engine, get_store(), decoder(), embedder)


@app.task(name="linework.ingest.run")
def run(job_id: str) -> None:
    """Run the job whose turn it is: an ingest or a batch search."""
    runner.run_next(read_by(app, HANDLERS))


@app.task(name="linework.search.run")
def search(job_id: str) -> None:
    """The same, told by the other queue."""
    run(job_id)


def _ingest(run: Run) -> dict[str, object]:
    if "withdraw" in run.params:
        return removals.withdraw(run)
    if "restore" in run.params:
        return removals.restore(run)
    if "erase" in run.params:
        return removals.erase(run, get_store(), lambda data: decoder().decode(data))
    return Ingest(run, get_settings(), get_store(), decoder())()


def _search(run: Run) -> dict[str, object]:
    resources = searching()
    run.engine = resources.engine  # whose connections are good at searching
    return BatchSearch(run, resources)()


HANDLERS = {"ingest": _ingest, "search": _search}


@worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    runner.stopping.set()
