"""Logs tell what was done, for whom and how it ended: never what was searched for, or what files are called."""

import json
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api import worker
from linework_core import store
from linework_core.jobs.runner import run_next
from linework_core.settings import get_settings
from linework_core.tables import Encoder, Job
from linework_enricher.job import Enricher
from tests.api.batching import DESIGNS
from tests.api.conftest import draw, load, store_pictures
from tests.api.test_batch_search import zipped

SECRET = "zanzibar"


@pytest.mark.usefixtures("fresh_worker")
def test_no_log_line_holds_the_words_of_a_query_or_the_names_of_files(
    client: TestClient, session: Session, encoder: Encoder, capfd: pytest.CaptureFixture[str]
) -> None:
    load(session, encoder, DESIGNS)
    store_pictures(session, original=draw(80, 60))
    found = client.get("/search", params={"q": f"{SECRET} lantern", "limit": 20})
    pictures = zipped({f"{SECRET}-1.png": draw(80, 60)})
    asked = [
        found,
        client.post("/search", files={"image": (f"{SECRET}.png", draw(80, 60))}, data={"q": SECRET}),
        client.post(f"/searches/{found.json()['search_id']}/clusters/titles", params={"provider": "template"}),
        client.post("/search/batch", files={"file": (f"{SECRET}.zip", pictures)}, params={"before": "2015-03-01"}),
        client.post("/search/batch", json={"patents": ["USD0000005"]}, params={"exclude": SECRET}),
        client.post("/ingest", files={"file": (f"{SECRET}.zip", pictures)}),
    ]
    assert [answer.status_code for answer in asked] == [200, 503, 202, 202, 202, 202]
    for _ in range(5):
        worker.run("whichever")
        run_next({"enrich": Enricher(get_settings(), store.get_store())})
    session.rollback()
    jobs = session.scalars(select(Job)).all()
    assert sum(SECRET in json.dumps(job.params) for job in jobs) == 4  # they are told, and so are the workers
    written = capfd.readouterr()
    lines = [line for line in (written.out + written.err).splitlines() if line.startswith("{")]
    started = [line for line in lines if "job_started" in line]
    assert {UUID(json.loads(line)["job_id"]) for line in started} == {job.id for job in jobs if job.owner == "local"}
    assert [line for line in lines if SECRET in line] == []
