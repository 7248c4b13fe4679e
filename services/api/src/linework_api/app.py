"""The gateway: `uvicorn --factory linework_api.app:create_app`."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi_offline import FastAPIOffline
from prometheus_client import REGISTRY

from linework_api import auth, health
from linework_api.admission import Admission
from linework_api.audit.endpoints import router as audit
from linework_api.audit.trail import AuditTrail
from linework_api.batches.endpoints import router as batches
from linework_api.bulkheads import Bulkhead
from linework_api.corpus.endpoints import router as corpus
from linework_api.descriptions.endpoints import router as descriptions
from linework_api.encoders.endpoints import router as encoders
from linework_api.evaluations.endpoints import router as evaluations
from linework_api.gauges import Work
from linework_api.ingest.endpoints import router as ingest
from linework_api.jobs.endpoints import router as jobs
from linework_api.jobs.watching import JobWatch
from linework_api.keys import starting
from linework_api.keys.endpoints import router as keys
from linework_api.keys.known import KnownKeys
from linework_api.online_embedder import OnlineEmbedder
from linework_api.origins import OriginCheck
from linework_api.patents.endpoints import router as patents
from linework_api.queries import each_once
from linework_api.rates import Rates
from linework_api.readiness import Parts
from linework_api.removals.endpoints import router as removals
from linework_api.search.embedding import Recalled
from linework_api.search.endpoints import pictures
from linework_api.search.endpoints import router as search
from linework_api.search.schemas import MOST_PICTURES
from linework_api.search.share_endpoints import router as shares
from linework_api.sheets.query import read_picture
from linework_api.state import Resources
from linework_api.trainings.endpoints import router as trainings
from linework_core import http, logs, nearest, tracing
from linework_core.bounded import Decoder
from linework_core.db import make_engine
from linework_core.settings import Settings, get_settings
from linework_core.store import open_store

HOUSEKEEPING = 6  # connections: two for keys, two for the audit log, one for what is watched, one for metrics
PICTURES = 16  # threads that wait for the object store and for decoding children
COMPUTING = 2  # more would only share the interpreter
DESCRIPTION = """Finds prior art in patent drawings: which drawings published before a date look like mine?

Errors are RFC 9457 problem documents. Long work is a job: 202, `Location`, and `GET /jobs/{id}`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Raises ValueError for settings that would let strangers in."""
    settings = settings or get_settings()
    logs.configure("api", settings.log_level)
    auth.check_settings(settings)
    app = FastAPIOffline(  # its pages need no script from elsewhere: patent offices' networks are often closed
        title="Linework",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=_lifespan,
        dependencies=[Depends(each_once)],
        redirect_slashes=False,
        telemetry=tracing.OF_REQUESTS,
    )
    app.state.settings = settings
    app.add_middleware(AuditTrail)
    app.add_middleware(OriginCheck, settings=settings)
    limits = {
        "/search": _largest_query(settings),
        "/search/batch": settings.max_upload_bytes + http.MAX_BODY,
        "/ingest": 2 * settings.max_upload_bytes + http.MAX_BODY,
    }
    http.install(app, max_body=limits)
    for router in (
        search, pictures, shares, batches, ingest, jobs, patents, removals, descriptions, corpus, encoders, evaluations,
        trainings, keys, audit, health.router,
    ):  # fmt: skip
        app.include_router(router)
    http.describe_problems(app)
    return app


def _largest_query(settings: Settings) -> int:
    """Bytes of the largest search by pictures."""
    return MOST_PICTURES * settings.max_query_bytes + http.MAX_BODY


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    engine = make_engine(settings.database_url, pool_size=settings.pool_size, rush=False)
    housekeeping = make_engine(settings.database_url, pool_size=HOUSEKEEPING, rush=False)
    await run_in_threadpool(starting.check_keys, settings)
    online = OnlineEmbedder(settings.embedder_url, token=settings.own_secret("internal_token"))
    resources = Resources(
        settings=settings,
        engine=engine,
        store=open_store(settings.object_store_url),
        decoder=Decoder(modules=[read_picture.__module__], leave_one=True),
        embedder=Recalled(),  # each search has its own
        online=online,
        parts=Parts(settings, online),
        watch=JobWatch(housekeeping),
        housekeeping=housekeeping,
        keys=KnownKeys(housekeeping),
        rates=Rates(settings.redis_url, settings.rate_limit_per_minute),
        database=Bulkhead("database", settings.pool_size, seconds=settings.queue_seconds),
        pictures=Bulkhead("pictures", PICTURES, seconds=settings.queue_seconds),
        admission=Admission(settings.queries_at_once, settings.query_bytes_at_once, largest=_largest_query(settings)),
        computing=Bulkhead("computing", COMPUTING, seconds=3 * settings.queue_seconds),
    )
    nearest.tune(resources.engine)
    app.state.resources = resources
    work = Work(housekeeping)
    REGISTRY.register(work)
    gc.freeze()  # what is here now stays: to look through it for garbage, again and again, took a tenth of each search
    try:
        yield
    finally:
        gc.unfreeze()
        REGISTRY.unregister(work)
        resources.watch.close()
        resources.decoder.close()
        await resources.parts.close()
        await resources.online.close()
        await resources.rates.close()
        resources.engine.dispose()
        housekeeping.dispose()
