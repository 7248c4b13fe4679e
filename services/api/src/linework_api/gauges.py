"""What `/metrics` tells of the work: jobs and indexes, as Postgres has them. Every gateway tells the same."""

import threading
import time
from collections.abc import Iterable, Iterator

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.db import transaction
from linework_core.jobs.service import UNDONE
from linework_core.tables import Drawing, Encoder, Job, VectorIndex

log = structlog.get_logger()
KINDS = ("ingest", "search", "embed", "enrich", "train", "evaluate")
ENDED = ("succeeded", "failed", "cancelled")
BELIEVED_S = 20.0  # /metrics is open to all: Postgres is asked no more often than this


class Work(Collector):
    """Reads jobs and indexes when Prometheus asks. A database that is away is told, and makes no answer fail."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._told: list[Metric] = []
        self._until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks no database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._told = self._read()
                self._until = time.monotonic() + BELIEVED_S
            yield from self._told

    def _read(self) -> list[Metric]:
        up = GaugeMetricFamily("linework_database_up", "Whether Postgres answers this gateway.")
        try:
            with transaction(self._engine) as session:
                metrics = [*_jobs(session), _waiting(session), _coverage(session)]
        except SQLAlchemyError as error:
            log.warning("gauges_not_read", error=type(error).__name__)
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *metrics]


def _jobs(session: Session) -> Iterator[Metric]:
    rows = session.execute(select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state))
    counts = {(kind, state): count for kind, state, count in rows}
    undone = GaugeMetricFamily("linework_jobs", "Jobs that wait or run.", labels=["kind", "state"])
    ended = CounterMetricFamily("linework_jobs_finished", "Jobs by how they ended.", labels=["kind", "state"])
    for family, states in ((undone, UNDONE), (ended, ENDED)):
        for kind in KINDS:
            for state in states:
                family.add_metric([kind, state], counts.get((kind, state), 0))
        yield family


def _waiting(session: Session) -> Metric:
    """How long the oldest job that could run has waited for a worker."""
    due = func.greatest(Job.created_at, Job.not_before)
    age = func.extract("epoch", func.now() - func.min(due))
    statement = select(Job.kind, age).where(Job.state == "queued", Job.not_before <= func.now()).group_by(Job.kind)
    ages = {row[0]: float(row[1]) for row in session.execute(statement)}
    family = GaugeMetricFamily(
        "linework_oldest_waiting_job_seconds", "Age of the oldest job that waits for a worker.", labels=["kind"]
    )
    for kind in KINDS:
        family.add_metric([kind], ages.get(kind, 0.0))
    return family


def _coverage(session: Session) -> Metric:
    family = GaugeMetricFamily(
        "linework_index_coverage", "Share of the open drawings that an index holds.", labels=["encoder", "state"]
    )
    newest = session.scalar(select(func.max(Drawing.added_in))) or 0
    indexes = select(Encoder, VectorIndex).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    for encoder, index in session.execute(indexes.where(VectorIndex.state != "retired")):
        complete = index.complete_at is not None and index.complete_at >= newest  # then nobody has to count
        share = 1.0 if complete else _counted(session, encoder)
        family.add_metric([encoder.encoder_id, index.state], share)
    return family


def _counted(session: Session, encoder: Encoder) -> float:
    found = encoders.coverage(session, encoder)
    return found.indexed / found.drawings if found.drawings else 1.0
