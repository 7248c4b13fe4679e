"""Batches of searches as tests ask for them, have them worked on, and read them."""

import csv
import datetime as dt
import io
from typing import Any

from fastapi.testclient import TestClient

from linework_api import worker
from tests.api.conftest import Design, unit

Batch = dict[str, Any]
DESIGNS = [
    Design(
        f"USD00000{n:02}",
        [unit(n), unit(n + 50)],
        granted=dt.date(2015, 1, 6) + dt.timedelta(weeks=n // 3),
        locarno="14-02" if n % 2 else "02-02",
        family=(f"US{n // 2}",),
    )
    for n in range(1, 41)
]


def work(job_id: str) -> None:
    """As a worker does that was nudged."""
    worker.search(job_id)


def ask(client: TestClient, body: dict[str, Any] | None = None, **options: Any) -> Batch:
    response = client.post("/search/batch", params=options, **({"json": body} if body else {}))
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/jobs/{response.json()['id']}"
    job: Batch = response.json()
    return job


def pages(client: TestClient, job_id: str, limit: int = 7) -> list[Batch]:
    """All queries of a batch, read page by page."""
    found, cursor = [], None
    while True:
        given = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/search/batch/{job_id}", params=given)
        assert page.status_code == 200, page.text
        found += page.json()["queries"]
        cursor = page.json()["next"]
        if cursor is None:
            return found


def lines(client: TestClient, job_id: str) -> list[dict[str, str]]:
    answer = client.get(f"/search/batch/{job_id}/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
