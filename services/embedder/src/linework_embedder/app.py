"""The online embedder: `uvicorn --factory linework_embedder.app:create_app`, on TCP or a Unix socket."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Literal, cast

import structlog
from fastapi import Depends, FastAPI, Request
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from linework_core import http, logs, tracing
from linework_core.db import make_engine
from linework_core.errors import LineworkError, Unavailable
from linework_core.http import problems
from linework_core.internal import InternalOnly
from linework_core.manifest import EncoderManifest
from linework_core.remembered import Remembered
from linework_core.settings import Settings, get_settings
from linework_embedder.engine import Engine
from linework_embedder.errors import EngineDied
from linework_embedder.roster import Roster

log = structlog.get_logger()
EncoderId = Annotated[str | None, Field(description="An encoder's id; by default the active index's.")]


class Drawings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    drawings: list[Base64Bytes] = Field(min_length=1, description="Derivatives: PNG in base64")
    encoder: EncoderId = None


class Texts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    texts: list[Annotated[str, Field(min_length=1, max_length=10_000)]] = Field(min_length=1)
    encoder: EncoderId = None


class Embedded(BaseModel):
    encoder: str
    vectors: list[list[float]] = Field(description="One unit vector an item, in the request's order")


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    spec: str = Field(min_length=1, max_length=500)


class Health(BaseModel):
    status: Literal["alive", "ready"]
    encoder: str | None = None


def create_app(settings: Settings | None = None, *, on_engine_death: Callable[[], None] | None = None) -> FastAPI:
    """The application. `on_engine_death` ends the process by default, so that its supervisor starts another."""
    settings = settings or get_settings()
    logs.configure("embedder", settings.log_level)
    end_process = partial(signal.raise_signal, signal.SIGTERM)
    app = FastAPI(
        title="Linework embedder",
        version="0.1.0",
        lifespan=partial(_lifespan, settings, on_engine_death or end_process),
        telemetry=tracing.OF_REQUESTS,
    )
    app.add_middleware(InternalOnly, token=settings.own_secret("internal_token"))
    http.install(app)
    _add_embedding(app)
    _add_health(app)
    http.describe_problems(app)
    return app


@asynccontextmanager
async def _lifespan(settings: Settings, on_death: Callable[[], None], app: FastAPI) -> AsyncIterator[None]:
    database = make_engine(settings.database_url, pool_size=2)
    engine = Engine(settings, Roster(database, settings), on_death=on_death)
    app.state.engine = engine
    app.state.probed = Remembered(engine.probe)
    warming = asyncio.create_task(_warm_up(engine))
    try:
        yield
    finally:
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await engine.close()
        # a thread that still asks Postgres gives its connection back before the pool goes
        await asyncio.get_running_loop().shutdown_default_executor()
        database.dispose()


async def _warm_up(engine: Engine) -> None:
    """Load the active encoder before the first caller comes; try again while Postgres is not there yet."""
    while True:
        try:
            log.info("embedder_ready", encoder=await engine.probe())
            return
        except EngineDied:
            return
        except LineworkError as error:
            log.warning("embedder_not_ready", reason=error.detail)
            await asyncio.sleep(1)
        except Exception:
            log.exception("embedder_not_ready")
            await asyncio.sleep(5)


def _engine(request: Request) -> Engine:
    return cast(Engine, request.app.state.engine)


WithEngine = Annotated[Engine, Depends(_engine)]


def _add_embedding(app: FastAPI) -> None:
    answers = problems(400, 404, 410, 413, 422, 500, 503)

    @app.post("/embed/drawings", responses=answers)
    async def embed_drawings(wanted: Drawings, engine: WithEngine) -> Embedded:
        """Unit vectors of derivatives."""
        encoder, vectors = await engine.embed_drawings(wanted.drawings, wanted.encoder)
        return Embedded(encoder=encoder, vectors=vectors.tolist())

    @app.post("/embed/texts", responses=answers)
    async def embed_texts(wanted: Texts, engine: WithEngine) -> Embedded:
        """Unit vectors of texts, if the encoder has a text tower."""
        encoder, vectors = await engine.embed_texts(wanted.texts, wanted.encoder)
        return Embedded(encoder=encoder, vectors=vectors.tolist())

    @app.post("/describe", responses=answers)
    async def describe(wanted: Wanted, engine: WithEngine) -> EncoderManifest:
        """What identifies the encoder that a spec names."""
        return await engine.describe(wanted.spec)


def _add_health(app: FastAPI) -> None:
    @app.get("/health/live", responses=problems(503))
    async def live(engine: WithEngine) -> Health:
        """The process answers, and its engine is not beyond repair."""
        if engine.died is not None:
            raise EngineDied(engine.died)
        return Health(status="alive")

    @app.get("/health/ready", responses=problems(503))
    async def ready(request: Request, engine: WithEngine) -> Health:
        """A picture was embedded within the last second, with the active encoder; who asks does not cause it."""
        if engine.died is not None:
            raise EngineDied(engine.died, retry_after=5)
        probed: Remembered[str] = request.app.state.probed
        try:
            return Health(status="ready", encoder=await probed())
        except LineworkError:
            raise
        except Exception as error:
            raise Unavailable(f"Embedding failed: {type(error).__name__}.") from error
