"""What operators see of the work on `/metrics`: jobs, the age of the queue, the coverage of indexes."""

import datetime as dt

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from linework_api import gauges
from linework_api.gauges import Work
from linework_core.settings import Settings
from linework_core.tables import Encoder
from tests.api.conftest import Design, NewJob, load, long_ago, unit


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "BELIEVED_S", 0.0)


def metrics(client: TestClient) -> dict[tuple[str, ...], float]:
    """All samples of /metrics: (name, label values in order of label) → value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, *(one.labels[name] for name in sorted(one.labels))): one.value for one in samples}


def test_jobs_are_counted_by_kind_and_state(client: TestClient, new_job: NewJob) -> None:
    new_job("ingest")
    new_job("enrich", state="failed", finished_at=dt.datetime.now(dt.UTC))
    told = metrics(client)
    assert told["linework_jobs", "ingest", "queued"] == 1
    assert told["linework_jobs", "ingest", "running"] == 0
    assert told["linework_jobs_finished_total", "enrich", "failed"] == 1
    assert told["linework_jobs_finished_total", "train", "failed"] == 0
    assert told["linework_database_up",] == 1


def test_the_queue_is_as_old_as_its_oldest_job_that_could_run(client: TestClient, new_job: NewJob) -> None:
    new_job("embed", created_at=long_ago(), not_before=long_ago())
    new_job("train", created_at=long_ago(), not_before=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    told = metrics(client)
    assert 3600 <= told["linework_oldest_waiting_job_seconds", "embed"] < 3660
    assert told["linework_oldest_waiting_job_seconds", "train"] == 0  # it pauses after a failure
    assert told["linework_oldest_waiting_job_seconds", "ingest"] == 0


def test_an_index_covers_a_share_of_the_drawings(client: TestClient, session: Session, encoder: Encoder) -> None:
    assert metrics(client)["linework_index_coverage", "tiny-1", "active"] == 1  # of nothing
    load(session, encoder, [Design("USD0100001", (unit(1), unit(2), unit(3), None))])
    assert metrics(client)["linework_index_coverage", "tiny-1", "active"] == 0.75


def test_postgres_is_asked_no_more_often_than_now_and_then(
    client: TestClient, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "BELIEVED_S", 60.0)
    before = metrics(client)
    new_job("ingest")
    assert metrics(client)["linework_jobs", "ingest", "queued"] == before["linework_jobs", "ingest", "queued"]


def test_a_database_that_is_away_is_told(environment: Settings) -> None:
    away = create_engine("postgresql+psycopg://nobody@/none?host=/nowhere")
    assert [(metric.name, metric.samples[0].value) for metric in Work(away).collect()] == [("linework_database_up", 0)]
