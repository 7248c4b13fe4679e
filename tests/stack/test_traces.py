"""Traces of the real processes, as a collector gets them."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from linework_office import publish
from tests.stack.collector import Collector, Span, collecting
from tests.stack.conftest import NewStack, Stack

WORDS = "unspeakable teapot"
KEY = "a-key-of-a-caller"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def traced(new_stack: NewStack, collector: Collector) -> Iterator[Stack]:
    """All processes, ready, and told of the collector."""
    with new_stack(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="200") as stack:
        yield stack


def logged(stack: Stack, service: str) -> list[dict[str, Any]]:
    lines = (stack.folder / f"{service}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def named(spans: list[Span], request_id: str) -> dict[str, Span]:
    """The spans of a request and of its jobs, by name."""
    return {span.name: span for span in spans if span.attributes.get("request_id") == request_id}


@pytest.mark.timeout(900)
def test_a_request_its_jobs_and_the_embedder_are_one_trace_with_one_request_id(
    traced: Stack, collector: Collector
) -> None:
    publish(traced.folder / "inbox", designs=4, seed=3, size=0.25)
    job_id = _ingest(traced, request_id="load-1")
    traced.wait_until_indexed()
    wanted = {"POST /ingest", "job ingest", "job embed"}
    traced.wait_for(lambda: wanted <= named(collector.spans(), "load-1").keys(), 30, "the trace of a package")
    loaded = named(collector.spans(), "load-1")
    assert {span.service for span in loaded.values()} == {"linework-api", "linework-ingest", "linework-embedder-bulk"}
    assert len({span.trace_id for span in loaded.values()}) == 1
    assert loaded["job ingest"].parent == loaded["POST /ingest"].id
    assert loaded["job embed"].parent == loaded["job ingest"].id
    assert loaded["job ingest"].attributes["job_id"] == job_id
    assert loaded["job ingest"].attributes["job.state"] == "succeeded"

    _search(traced, request_id="ask-1")
    wanted = {"POST /search", "POST /embed/drawings"}
    traced.wait_for(lambda: wanted <= named(collector.spans(), "ask-1").keys(), 30, "the trace of a search")
    asked = named(collector.spans(), "ask-1")
    assert asked["POST /embed/drawings"].service == "linework-embedder"
    within = (asked["POST /embed/drawings"], asked["POST /search"])
    traced.wait_for(lambda: _descends(collector.spans(), *within), 30, "the embedder's span lies within the search's")
    assert any(span.name == "SELECT" and span.parent == asked["POST /search"].id for span in collector.spans())

    for service, event, request_id, span in (
        ("api", "request", "load-1", loaded["POST /ingest"]),
        ("ingest", "job_ended", "load-1", loaded["job ingest"]),
        ("embed", "job_ended", "load-1", loaded["job embed"]),
        ("api", "request", "ask-1", asked["POST /search"]),
        ("embedder", "request", "ask-1", asked["POST /embed/drawings"]),
    ):
        lines = [line for line in logged(traced, service) if line.get("request_id") == request_id]
        assert any((line["event"], line["trace_id"]) == (event, span.trace_id) for line in lines), (service, request_id)


@pytest.mark.timeout(900)
def test_a_trace_holds_nothing_of_what_was_asked_and_no_machine_asking_for_health(
    traced: Stack, collector: Collector
) -> None:
    publish(traced.folder / "inbox", designs=2, seed=3, size=0.25)
    _ingest(traced, request_id="load-1")
    traced.wait_until_indexed()
    _search(traced, request_id="ask-1")
    question = {"q": WORDS, "before": "2030-01-01"}
    traced.client.get("/search", params=question, headers={"X-Request-ID": "ask-2"}).raise_for_status()
    traced.client.get("/search", params={"unknown": WORDS}, headers={"X-Request-ID": "bad-1"})
    for request_id in ("ask-1", "ask-2", "bad-1"):
        traced.wait_for(lambda one=request_id: named(collector.spans(), one), 30, f"the trace of {request_id}")
    spans = collector.spans()
    assert named(spans, "ask-2")["GET /search"].attributes["url.query"] == "REDACTED"
    assert not any(span.events for span in spans)
    assert not any("health" in span.attributes.get("url.path", "") for span in spans)
    assert "SELECT" not in {span.name for span in spans if not span.parent}  # of heartbeats and probes
    for secret in (*WORDS.split(), KEY, base64.b64encode(_picture()).decode()[:40]):
        assert not any(secret.encode() in body for body in collector.bodies), secret


def _search(stack: Stack, request_id: str) -> None:
    answer = stack.client.post(
        "/search",
        params={"before": "2030-01-01"},
        data={"q": WORDS},
        files={"image": ("a.png", _picture(), "image/png")},
        headers={"X-Request-ID": request_id, "Authorization": f"Bearer {KEY}"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Request-ID"] == request_id


def _ingest(stack: Stack, request_id: str) -> str:
    body = {"uri": (stack.folder / "inbox").as_uri()}
    answer = stack.client.post("/ingest", json=body, headers={"X-Request-ID": request_id}).raise_for_status()
    job_id = str(answer.json()["id"])
    assert stack.wait_for_job(job_id)["state"] == "succeeded"
    return job_id


def _descends(spans: list[Span], span: Span, ancestor: Span) -> bool:
    by_id = {one.id: one for one in spans}
    at: Span | None = span
    while at is not None and at.id != ancestor.id:
        at = by_id.get(at.parent)
    return at is not None


def _picture() -> bytes:
    data = io.BytesIO()
    Image.linear_gradient("L").save(data, "PNG")
    return data.getvalue()


def test_without_the_packages_a_process_says_so_and_goes_on(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['opentelemetry.sdk'] = None;"
        "from linework_core import logs, tracing; logs.configure('test'); import structlog;"
        "print(tracing.origin(), structlog.get_logger().info('on'))"
    )
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "no_traces" in done.stderr
    assert done.stdout.startswith("{}")
