"""The online embedder as a real server in a thread, and an encoder that does what a test tells it."""

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from obstore.store import ObjectStore
from PIL import Image
from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.imaging import encode_png
from linework_core.settings import Settings
from linework_core.tables import Encoder as EncoderRow
from linework_embedder.app import create_app
from linework_embedder.bulk import BulkEmbedder
from linework_vision import Encoder, load, register
from linework_vision.identity import make_manifest
from linework_vision.spec import Spec
from tests.configured import configured
from tests.waiting import PATIENCE, until

DIMENSION = 8
Behaviour = Callable[[NDArray[Any]], NDArray[Any]]


def mean_grey(batch: NDArray[Any]) -> NDArray[Any]:
    """Features that tell pictures of different greys apart."""
    level = batch.reshape(len(batch), -1).mean(axis=1)
    return np.stack([level, 255 - level, *[np.ones_like(level)] * (DIMENSION - 2)], axis=1)


class ScriptedEncoder(Encoder):
    """Keeps a record of its batches, and computes their features by `behaviour`."""

    def __init__(self, name: str) -> None:
        recipe = {"scripted": name}
        manifest = make_manifest(
            name=name, spec=f"scripted:{name}", dimension=DIMENSION, precision="fp32", recipe=recipe, weights="",
            has_text=True,
        )  # fmt: skip
        super().__init__(manifest)
        self.batches: list[int] = []
        self.behaviour: Behaviour = mean_grey

    def preprocess(self, drawing: Image.Image) -> NDArray[np.uint8]:
        return np.array(drawing.resize((4, 4)))

    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.batches.append(len(batch))
        return self.behaviour(batch)

    def _texts(self, texts: list[str]) -> NDArray[Any]:
        self.batches.append(len(texts))
        return self.behaviour(np.array([[len(text) % 256] for text in texts]))


@pytest.fixture
def scripted(request: pytest.FixtureRequest) -> ScriptedEncoder:
    """The encoder that 'scripted:…' loads in this test."""
    encoder = ScriptedEncoder("scripted")

    def loader(spec: Spec, device: str, precision: str) -> Encoder:
        return encoder

    register("scripted", loader)
    return encoder


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str]) -> Iterator[Settings]:
    values = {
        "DEFAULT_ENCODER": "scripted:default",
        "LEASE_SECONDS": "3",
        "EMBED_BATCH_SIZE": "8",
        "EMBED_BATCH_MS": "20",
        "EMBED_QUEUE_LIMIT": "32",
    }
    with configured(monkeypatch, own_servers | values) as settings:
        yield settings


@pytest.fixture
def embedder(settings: Settings, objects: ObjectStore) -> BulkEmbedder:
    return BulkEmbedder(settings, objects)


@pytest.fixture
def encoder(session: Session, scripted: ScriptedEncoder) -> EncoderRow:
    """Its index is active."""
    made = encoders.ensure_active(session, load("scripted:default").manifest)
    session.commit()
    return made


@dataclass
class Online:
    """A running embedder. `deaths` counts how often its engine asked to be started again."""

    client: httpx.Client
    socket: Path
    deaths: list[float] = field(default_factory=list)

    def embed(self, pictures: Sequence[bytes], **more: Any) -> httpx.Response:
        encoded = [base64.b64encode(picture).decode() for picture in pictures]
        return self.client.post("/embed/drawings", json={"drawings": encoded, **more})

    def wait_until_ready(self) -> str:
        until(lambda: self.client.get("/health/ready").status_code == 200)
        return str(self.client.get("/health/ready").json()["encoder"])


Serve = Callable[[Settings], AbstractContextManager[Online]]


@pytest.fixture
def serve(server_folder: Path) -> Serve:
    """Runs the embedder on a Unix socket: `with serve(settings) as online`."""

    @contextmanager
    def running(settings: Settings) -> Iterator[Online]:
        socket = server_folder / f"embedder-{time.monotonic_ns()}.sock"
        transport = httpx.HTTPTransport(uds=str(socket))
        online = Online(httpx.Client(transport=transport, base_url="http://embedder", timeout=PATIENCE), socket)
        app = create_app(settings, on_engine_death=lambda: online.deaths.append(time.monotonic()))
        server = uvicorn.Server(uvicorn.Config(app, uds=str(socket), log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield online
        finally:
            server.should_exit = True
            thread.join()
            online.client.close()

    return running


@pytest.fixture
def online(serve: Serve, settings: Settings, scripted: ScriptedEncoder) -> Iterator[Online]:
    """An embedder whose active encoder is `scripted`."""
    with serve(settings) as running:
        running.wait_until_ready()
        scripted.batches.clear()
        yield running


def derivative(grey: int = 128, size: tuple[int, int] = (40, 30)) -> bytes:
    """A derivative of one grey."""
    return encode_png(Image.new("L", size, grey))


def in_colour(picture: bytes) -> bytes:
    return encode_png(Image.open(io.BytesIO(picture)).convert("RGB"))
