"""One encoder in memory: CPU work in a pool of threads, the model's work in batches in a single one."""

import asyncio
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import structlog
from PIL import Image, UnidentifiedImageError

from linework_core import imaging
from linework_core.errors import UnreadableImage
from linework_core.manifest import EncoderManifest
from linework_core.settings import Settings
from linework_embedder.batcher import Batcher
from linework_embedder.device import warm_up_sizes
from linework_embedder.encoding import encode_each
from linework_vision.encoder import Encoder, Picture, Vectors

log = structlog.get_logger()


class Served:
    """An encoder with its two batchers. Belongs to the event loop's thread."""

    def __init__(
        self,
        manifest: EncoderManifest,
        encoder: Encoder,
        settings: Settings,
        *,
        pool: Executor,
        model_thread: Executor,
        on_failure: Callable[[BaseException, bool], None],
    ) -> None:
        """`manifest` is the registered one, whose id is used towards callers."""
        self.manifest = manifest
        self._encoder = encoder
        self._pool = pool
        options: dict[str, Any] = {
            "size": settings.embed_batch_size,
            "wait_s": settings.embed_batch_ms / 1000,
            "on_failure": on_failure,
        }
        self._drawings: Batcher[Picture] = Batcher(encoder.encode_drawings, model_thread, kind="drawing", **options)
        self._texts: Batcher[str] = Batcher(encoder.encode_texts, model_thread, kind="text", **options)

    async def embed_drawings(self, derivatives: Sequence[bytes]) -> Vectors:
        """Unit rows (n, dimension) of derivatives as PNG. Raises UnreadableImage and what the model raises."""
        loop = asyncio.get_running_loop()
        pictures = await asyncio.gather(
            *(loop.run_in_executor(self._pool, self._prepare, number, png) for number, png in enumerate(derivatives))
        )
        return await self._drawings.submit(pictures)

    async def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit rows (n, dimension). Raises NoTextTower and what the model raises."""
        return await self._texts.submit(texts)

    async def close(self) -> None:
        await asyncio.gather(self._drawings.close(), self._texts.close())

    def _prepare(self, number: int, png: bytes) -> Picture:
        try:
            return self._encoder.preprocess(open_derivative(png))
        except UnreadableImage as error:
            raise UnreadableImage(f"Drawing {number}: {error.detail}", item=number) from error


def open_derivative(png: bytes) -> Image.Image:
    """The picture in a derivative's bytes. Raises UnreadableImage for anything that is none.

    Derivatives are made by core alone (design, rule 7). Whoever sends another picture would get a vector
    that compares with nothing in the index, so that is refused and not mended.
    """
    try:
        picture = Image.open(io.BytesIO(png), formats=("PNG",))
        if picture.mode != "L" or max(picture.size) > imaging.LONG_SIDE:
            raise UnreadableImage(
                f"A derivative is greyscale and at most {imaging.LONG_SIDE} px long;"
                f" this is {picture.mode} with {picture.width} x {picture.height} px."
            )
        picture.load()
    except UnidentifiedImageError:
        raise UnreadableImage("This is no PNG picture.") from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged PNG data
        raise UnreadableImage(f"The picture is damaged: {error}") from error
    return picture


def warm_up(encoder: Encoder, settings: Settings) -> None:
    """Run the model at its usual batch sizes, so that no caller waits for what is done once. Blocks."""
    side = imaging.LONG_SIDE
    picture = encoder.preprocess(Image.linear_gradient("L").resize((side, side)))
    for size in warm_up_sizes(settings):
        encode_each(encoder.encode_drawings, [picture] * size)
    if encoder.manifest.has_text:
        encode_each(encoder.encode_texts, ["a lamp"])
