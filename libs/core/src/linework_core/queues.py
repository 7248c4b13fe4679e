"""Celery over Redis. A message is a nudge that carries a job's id; Postgres knows what there is to do."""

import ssl  # noqa: F401  # celery's Redis transport looks it up by name when a URL asks for TLS
from collections.abc import Mapping
from functools import cache
from typing import TypeVar
from uuid import UUID

import structlog
from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from linework_core import alive, logs
from linework_core.settings import get_settings

log = structlog.get_logger()
T = TypeVar("T")


def make_celery(service: str) -> Celery:
    """A Celery application on the configured Redis, without results and without logging of its own."""
    settings = get_settings()
    app = Celery(service, broker=broker_url(settings.redis_url))
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,  # losing a nudge costs time only; redelivering one would cost order
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 10,
            "socket_connect_timeout": 2,
            "retry_on_timeout": True,
            "max_retries": 1,  # of one publish: the reconciler sends again what was not sent
            "interval_start": 0,
            "interval_max": 0.2,
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
        timezone="UTC",
    )

    from celery.signals import setup_logging, worker_ready

    @setup_logging.connect(weak=False)
    def _logging(**_: object) -> None:
        logs.configure(service, settings.log_level)

    @worker_ready.connect(weak=False)
    def _alive(**_: object) -> None:
        alive.keep_touching(settings.alive_file)

    return app


def read_by(app: Celery, handlers: Mapping[str, T]) -> dict[str, T]:
    """Those of the handlers whose queues this worker reads: some of its application's (-Q), or all."""
    queues = app.amqp.queues.consume_from
    return {kind: handler for kind, handler in handlers.items() if kind in queues} or dict(handlers)


def broker_url(redis_url: str) -> str:
    """Celery's name for a Redis URL: redis-py says unix:///path?db=0, kombu redis+socket:///path?virtual_host=0."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?{query.replace('db=', 'virtual_host=') or 'virtual_host=0'}"


@cache
def _publisher() -> Celery:
    """Sends nudges. It gives a Redis that hangs a second, since a caller waits meanwhile for an answer."""
    app = make_celery("publisher")
    app.conf.broker_transport_options |= {
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
        "retry_on_timeout": False,
        "max_retries": 0,
    }
    return app


def nudge(kind: str, job_id: UUID) -> None:
    """Tell the workers of a kind that a job waits. A Redis that is down costs time only: the beat tells again."""
    try:
        _publisher().send_task(f"linework.{kind}.run", args=[str(job_id)], queue=kind, retry=False)
    except Exception as error:  # whatever it is: the job is committed, so its caller must not be told of a failure
        log.warning("nudge_not_sent", kind=kind, job_id=str(job_id), error=f"{type(error).__name__}: {error}")


def get_redis(*, timeout: float = 2.0) -> Redis:
    """A client of the configured Redis that says at once when it is down. Close it, or use it as a context."""
    return Redis.from_url(
        get_settings().redis_url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


def waiting(kind: str) -> int:
    """How many nudges lie unread in a queue. Raises RedisError."""
    with get_redis() as client:
        return int(client.llen(kind))
