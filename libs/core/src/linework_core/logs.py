"""JSON logs: one object a line, with the request, job and trace ids that are bound where the work begins."""

import logging
import sys

import structlog

from linework_core import tracing


def configure(service: str, level: str = "INFO") -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines that name the service.

    Ours are written at once; only others' go through the standard library, whose records cost several times as much.
    The process's traces begin here, too, where the environment asks for them.
    """

    def name_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        tracing.name_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        name_service,
    ]
    to_json = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*processors, to_json],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # whatever that is at the time
        cache_logger_on_first_use=False,  # one that a module keeps obeys whatever is configured later
    )
    _let_others_log_alike(level, processors, to_json)
    tracing.configure(service)


def _let_others_log_alike(
    level: str, processors: list[structlog.typing.Processor], to_json: structlog.typing.Processor
) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, to_json],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpx2", "httpcore", "PIL", "alembic.runtime.migration", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for server in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery"):
        logging.getLogger(server).handlers.clear()
        logging.getLogger(server).propagate = True
