"""Decoding strangers' images in child processes with a limit on memory and time (design, rule 8)."""

import multiprocessing
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from importlib import import_module
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool
from PIL import Image

from linework_core import imaging
from linework_core.errors import UnreadableImage
from linework_core.settings import get_settings

T = TypeVar("T")
Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as fractions of width and height
Cut = tuple[tuple[int, int, int, int], int]  # left, top, width, height in pixels, and degrees clockwise


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture's derivative (PNG bytes), its hash, and the sizes in pixels of original and derivative."""

    png: bytes
    hash: str
    original_size: tuple[int, int]
    size: tuple[int, int]


class Decoder:
    """A pool of child processes; a child that dies or hangs costs its picture only.

    A child imports `modules` before its first picture, so that this takes none of the picture's time.
    """

    def __init__(
        self, *, workers: int | None = None, seconds: float | None = None, modules: Sequence[str] = ()
    ) -> None:
        settings = get_settings()
        self.seconds = seconds or settings.decode_seconds
        self.pool = ProcessPool(
            max_workers=workers or settings.decode_workers,
            max_tasks=2000,  # a fresh child now and then, against slow leaks in image codecs
            initializer=_begin,
            initargs=(settings.decode_memory_bytes, tuple(modules)),
            context=multiprocessing.get_context("spawn"),  # the parent has threads: a fork could inherit their locks
        )

    def submit(self, data: bytes, *, page: int = 1, crop: Box | None = None) -> "Future[Decoded]":
        """Begin to decode a page, or the part of it within `crop` (fractions); `result_of` waits for it."""
        return self.run(decode, data, page, crop)

    def decode(self, data: bytes, *, page: int = 1, crop: Box | None = None) -> Decoded:
        """Raises UnreadableImage, also for a picture that takes too long or too much memory."""
        return result_of(self.submit(data, page=page, crop=crop))

    def run(self, function: Callable[..., T], *args: object) -> "Future[T]":
        """Begin a function of strangers' bytes in a child; it must be one that a module has by name."""
        return self.pool.schedule(function, args=args, timeout=self.seconds)

    def thumbnail(self, data: bytes, long_side: int, cut: Cut | None = None) -> bytes:
        """PNG bytes of a greyscale picture with the given long side, or of a part of it. Raises UnreadableImage."""
        return result_of(self.run(thumbnail, data, long_side, cut))

    def close(self) -> None:
        self.pool.stop()  # type: ignore[no-untyped-call]
        self.pool.join()


def result_of(future: "Future[T]") -> T:
    """What a child made of its picture. Raises UnreadableImage."""
    try:
        return future.result()
    except (TimeoutError, FutureTimeout):
        raise UnreadableImage("The image takes too long to decode.") from None
    except (ProcessExpired, MemoryError):
        raise UnreadableImage("The image takes too much memory to decode.") from None


def decode(data: bytes, page: int = 1, crop: Box | None = None) -> Decoded:
    """Runs in the child: the derivative of an encoded picture, or of a part of it."""
    image = imaging.open_image(data, page)
    if crop is not None:
        image = imaging.crop(image, crop)
    return derived(image)


def derived(image: Image.Image) -> Decoded:
    """Runs in the child: the derivative of a picture. Raises UnreadableImage."""
    derivative = imaging.to_derivative(image)
    digest = imaging.derivative_hash(derivative)
    return Decoded(imaging.encode_png(derivative), digest, image.size, derivative.size)


def thumbnail(data: bytes, long_side: int, cut: Cut | None = None) -> bytes:
    """Runs in the child: a picture as people are shown it, at most `long_side` pixels long."""
    image = imaging.open_image(data)
    return imaging.encode_png(imaging.to_picture(imaging.upright(image, *cut) if cut else image, long_side))


def _begin(memory: int, modules: Sequence[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for module in modules:
        import_module(module)
