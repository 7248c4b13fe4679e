"""The encoders in memory, and who may use them how much."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog
from PIL import Image
from prometheus_client import Gauge

from linework_core.errors import LineworkError, TooLarge, Unavailable
from linework_core.imaging import encode_png
from linework_core.manifest import EncoderManifest
from linework_core.settings import Settings
from linework_embedder.errors import EngineDied
from linework_embedder.roster import Roster, load_registered
from linework_embedder.served import Served, warm_up
from linework_vision import load
from linework_vision.encoder import Vectors

log = structlog.get_logger()
ADMITTED = Gauge("linework_embedder_admitted_items", "Items taken in and not yet answered.")
KEPT = 3  # encoders in memory: the active one, the next, the last
ACTIVE_FOR_S = 2.0  # how long the answer to 'which index is active' is believed
PATIENCE_S = 1.0  # how long the database may take to say so, once an answer is known
PROBE_S = 4.0  # a readiness probe gives up after this
PROBE = encode_png(Image.linear_gradient("L"))


class Engine:
    """Embeds with any registered encoder. Its methods belong to the event loop's thread."""

    def __init__(self, settings: Settings, roster: Roster, *, on_death: Callable[[], None]) -> None:
        """`on_death` is called when the model's process must be started again."""
        self.died: str | None = None
        self._settings = settings
        self._roster = roster
        self._on_death = on_death
        self._admitted = 0
        self._served: OrderedDict[str, Served] = OrderedDict()
        self._loading = asyncio.Lock()
        self._loads: dict[str, asyncio.Task[Served]] = {}  # under way, by encoder
        self._active: EncoderManifest | None = None
        self._active_until = 0.0
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="preprocess")
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def embed_drawings(self, derivatives: Sequence[bytes], encoder_id: str | None) -> tuple[str, Vectors]:
        """The encoder's id and unit rows (n, dimension).

        Raises Unavailable when too much waits already, NotFound, UnreadableImage, and what the model raises.
        """
        with self._admit(len(derivatives)):
            served = await self._serve(encoder_id)
            return served.manifest.id, await served.embed_drawings(derivatives)

    async def embed_texts(self, texts: Sequence[str], encoder_id: str | None) -> tuple[str, Vectors]:
        """As `embed_drawings`. Raises NoTextTower."""
        with self._admit(len(texts)):
            served = await self._serve(encoder_id)
            return served.manifest.id, await served.embed_texts(texts)

    async def describe(self, spec: str) -> EncoderManifest:
        """What identifies the encoder that `spec` names. Raises BadSpec, WeightsUnavailable.

        It is loaded on the CPU and let go: no vector is made, and the GPU's memory serves others.
        """
        loop = asyncio.get_running_loop()
        precision = self._settings.precision
        return await loop.run_in_executor(self._loader, lambda: load(spec, precision=precision).manifest)

    async def probe(self) -> str:
        """Embed a picture with the active encoder on the way that all pictures take, and return the encoder's
        id. Raises LineworkError. A full queue does not turn it away: busy is not broken.
        """
        self._check_alive()
        try:
            async with asyncio.timeout(PROBE_S):
                served = await self._serve(None)
                await served.embed_drawings([PROBE])
        except TimeoutError:
            raise Unavailable(f"No vector came within {PROBE_S:.0f} s.") from None
        except LineworkError as error:
            raise Unavailable(error.detail) from error
        return served.manifest.id

    async def close(self) -> None:
        """Stop. Who still waits is told to ask again."""
        for load_task in self._loads.values():
            load_task.cancel()
        await asyncio.gather(*(served.close() for served in self._served.values()))
        for executor in (self._pool, self._loader, self._model_thread):
            executor.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _admit(self, count: int) -> Iterator[None]:
        """Room for `count` items, or a refusal at once: waiting callers would only time out later."""
        self._check_alive()
        limit = self._settings.embed_queue_limit
        if count > limit:
            raise TooLarge(f"{count} items in one request; at most {limit} are taken.")
        if self._admitted + count > limit:
            raise Unavailable(f"{self._admitted} items wait already.", retry_after=1)
        self._admitted += count
        ADMITTED.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= count
            ADMITTED.set(self._admitted)

    def _check_alive(self) -> None:
        if self.died is not None:
            raise EngineDied(self.died, retry_after=5)

    async def _serve(self, encoder_id: str | None) -> Served:
        wanted = encoder_id or (await self._active_manifest()).id
        if wanted not in self._served:
            return await asyncio.shield(self._load_once(wanted))
        self._served.move_to_end(wanted)
        return self._served[wanted]

    def _load_once(self, encoder_id: str) -> asyncio.Task[Served]:
        """The loading of an encoder, one for all who wait. It goes on when they have given up: a model that takes
        longer to load than a probe waits would else be loaded anew by each, and never be there.
        """
        if encoder_id not in self._loads:
            task = self._loads[encoder_id] = asyncio.create_task(self._load_in_turn(encoder_id))
            task.add_done_callback(lambda done: self._loads.pop(encoder_id))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # told, though nobody waits
        return self._loads[encoder_id]

    async def _load_in_turn(self, encoder_id: str) -> Served:
        async with self._loading:
            self._served[encoder_id] = served = await self._load(encoder_id)
            await self._put_away_oldest()
        return served

    async def _active_manifest(self) -> EncoderManifest:
        now = asyncio.get_running_loop().time()
        if self._active is None or now >= self._active_until:
            patience = None if self._active is None else PATIENCE_S
            try:
                async with asyncio.timeout(patience):
                    self._active = await asyncio.to_thread(self._roster.active)
            except (Unavailable, TimeoutError):
                if self._active is None:
                    raise
                log.warning("active_encoder_assumed", encoder=self._active.id)
            self._active_until = now + ACTIVE_FOR_S
        return self._active

    async def _load(self, encoder_id: str) -> Served:
        manifest = await asyncio.to_thread(self._roster.find, encoder_id)
        loop = asyncio.get_running_loop()
        encoder = await loop.run_in_executor(self._loader, load_registered, manifest, self._settings)
        await loop.run_in_executor(self._model_thread, warm_up, encoder, self._settings)
        log.info("encoder_loaded", encoder=encoder_id, device=self._settings.device)
        return Served(
            manifest,
            encoder,
            self._settings,
            pool=self._pool,
            model_thread=self._model_thread,
            on_failure=self._on_failure,
        )

    async def _put_away_oldest(self) -> None:
        while len(self._served) > KEPT:
            encoder_id, served = self._served.popitem(last=False)
            await served.close()
            log.info("encoder_put_away", encoder=encoder_id)

    def _on_failure(self, error: BaseException, fatal: bool) -> None:
        log.error("model_failed", fatal=fatal, exc_info=error)
        if fatal and self.died is None:
            self.died = f"The model's device failed ({type(error).__name__}); the process starts again."
            self._on_death()
