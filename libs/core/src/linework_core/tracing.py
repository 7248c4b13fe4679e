"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector; elsewhere nothing here does anything.

A request is a trace: FastAPI opens its span, and statements to Postgres and calls by HTTP are spans within it. A job
is one span in the trace of the request that made it, whichever worker runs it and however often: what it does can be
a million statements. What brings the two together lies in the job's row, not in its message (decision 12).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, TraceState
from opentelemetry.util.types import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler

log = structlog.get_logger()
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
UNWATCHED = ("/health", "/metrics")  # asked every few seconds by machines


def _is_unwatched(scope: Any) -> bool:
    return str(scope.get("path", "")).startswith(UNWATCHED)


# For FastAPI(telemetry=…): a span for each request, and no more
OF_REQUESTS: Any = {"operation_spans": False, "metrics": False, "logs": False, "exclude": _is_unwatched}


def wanted() -> bool:
    """Whether the environment names a collector."""
    return any(os.environ.get(name) for name in ENDPOINTS) and os.environ.get("OTEL_SDK_DISABLED", "") != "true"


@cache
def configure(service: str) -> None:
    """Send this process's spans to the collector, if there is one. Without the packages that is logged, and all."""
    if not wanted():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("no_traces", reason=f"{error.name} is not installed: requirements/tracing.txt")
        return
    provider = make_provider(service)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def make_provider(service: str) -> "TracerProvider":
    """A provider whose spans hold nothing of what callers ask for or send."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider

    class WithoutQuery(SpanProcessor):
        """The words searched for stand in a request's query string, where FastAPI reads it from."""

        def on_start(self, span: Any, parent_context: Context | None = None) -> None:
            if "url.query" in (span.attributes or {}):
                span.set_attribute("url.query", "REDACTED")

    limits = SpanLimits(max_events=0)  # an event is an exception, whose message may repeat what was given
    provider = TracerProvider(resource=Resource.create({"service.name": f"linework-{service}"}), span_limits=limits)
    provider.sampler = _with_a_parent(provider.sampler)
    provider.add_span_processor(WithoutQuery())
    return provider


def _with_a_parent(sampler: "Sampler") -> "Sampler":
    """What the environment chose (OTEL_TRACES_SAMPLER), less the statements that no request asked for: each probe
    and each heartbeat would be a trace of its own.
    """
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
    from opentelemetry.trace import Link

    class WithAParent(Sampler):
        def should_sample(
            self,
            parent_context: Context | None,
            trace_id: int,
            name: str,
            kind: SpanKind | None = None,
            attributes: Attributes = None,
            links: Sequence[Link] | None = None,
            trace_state: TraceState | None = None,
        ) -> SamplingResult:
            parent = trace.get_current_span(parent_context).get_span_context()
            if kind is SpanKind.CLIENT and not parent.is_valid:
                return SamplingResult(Decision.DROP)
            return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

        def get_description(self) -> str:
            return f"WithAParent({sampler.get_description()})"

    return WithAParent()


@cache
def follow_calls() -> None:
    """Let calls by HTTP and statements to Postgres be spans, too. Values that statements are given are not recorded."""
    if not wanted():
        return
    try:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    except ImportError as error:
        log.warning("no_traces_of_calls", reason=f"{error.name} is not installed: requirements/tracing.txt")
        return
    HTTPXClientInstrumentor().instrument()
    PsycopgInstrumentor().instrument(capture_parameters=False)


def request_began(request_id: str) -> None:
    """Write the request's id on its span, by which the log and the trace find one another."""
    trace.get_current_span().set_attribute("request_id", request_id)


def origin() -> dict[str, Any]:
    """Where what happens now comes from, for a job's row: `request_id` and `traceparent`, as far as there are any."""
    carrier: dict[str, Any] = {}
    propagate.inject(carrier)
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    found = {"traceparent": carrier.get("traceparent"), "request_id": request_id}
    return {name: value for name, value in found.items() if value is not None}


@contextmanager
def job(kind: str, job_id: str, came_from: Mapping[str, Any]) -> Iterator[Span]:
    """A run of a job: what is logged names the job and the request that made it, and the span is in its trace."""
    known = {"job_id": job_id}
    if "request_id" in came_from:
        known["request_id"] = came_from["request_id"]
    tracer = trace.get_tracer("linework")
    with (
        structlog.contextvars.bound_contextvars(**known),
        tracer.start_as_current_span(
            f"job {kind}",
            context=propagate.extract(came_from),
            kind=SpanKind.CONSUMER,
            attributes={"job.kind": kind, **known},
        ) as span,
    ):
        yield span


def name_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For structlog: what is logged within a trace names it."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event
