"""Decoding strangers' images in child processes with a limit on memory and time (design, rule 8)."""

import multiprocessing
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool
from PIL import Image

from linework_core import imaging
from linework_core.errors import UnreadableImage
from linework_core.settings import get_settings
from linework_core.turns import Turns

T = TypeVar("T")
Data = bytes | Callable[[], bytes]
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

    Callers have their turns by the time that their pictures take (`turns`); a picture whose future is cancelled before
    its turn is never decoded. One that is being decoded is not interrupted: it takes its caller's time, and a new child
    would take longer to start. A child imports `modules` before its first picture.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        seconds: float | None = None,
        modules: Sequence[str] = (),
        leave_one: bool = False,
    ) -> None:
        """With `leave_one` no caller has all children, so that another need not wait for a slow picture to end."""
        settings = get_settings()
        self.seconds = seconds or settings.decode_seconds
        workers = workers or settings.decode_workers
        self.turns = Turns(workers, share=max(1, workers - leave_one))
        self.pool = ProcessPool(
            max_workers=workers,
            max_tasks=2000,  # a fresh child now and then, against slow leaks in image codecs
            initializer=_begin,
            initargs=(settings.decode_memory_bytes, tuple(modules)),
            context=multiprocessing.get_context("spawn"),  # the parent has threads: a fork could inherit their locks
        )

    def submit(self, data: Data, *, page: int = 1, crop: Box | None = None, caller: str = "") -> "Future[Decoded]":
        """Begin to decode a page, or the part of it within `crop` (fractions); `result_of` waits for it."""
        return self.run(decode, data, page, crop, caller=caller)

    def decode(self, data: Data, *, page: int = 1, crop: Box | None = None, caller: str = "") -> Decoded:
        """Raises UnreadableImage, also for a picture that takes too long or too much memory."""
        return result_of(self.submit(data, page=page, crop=crop, caller=caller))

    def run(self, function: Callable[..., T], data: Data, *args: object, caller: str = "") -> "Future[T]":
        """Call a function of a stranger's bytes in a child; it must be one that a module has by name.

        `data` may also be a function that reads the bytes: it is called at their turn, so that what waits takes no
        memory. The future has what that raises.
        """

        def start() -> "Future[T]":
            read = data() if callable(data) else data
            return self.pool.schedule(function, args=(read, *args), timeout=self.seconds)

        return self.turns.add(caller, start)

    def thumbnail(self, data: bytes, long_side: int, cut: Cut | None = None, *, caller: str = "") -> bytes:
        """PNG bytes of a greyscale picture with the given long side, or of a part of it. Raises UnreadableImage."""
        return result_of(self.run(thumbnail, data, long_side, cut, caller=caller))

    def close(self) -> None:
        self.turns.close()
        self.pool.stop()  # type: ignore[no-untyped-call]
        self.pool.join()


def result_of(future: "Future[T]") -> T:
    """What a child made of its picture. Raises UnreadableImage."""
    with as_unreadable():
        return future.result()


@contextmanager
def as_unreadable() -> Iterator[None]:
    """A child that has taken too long, or has died, says something of its picture. Raises UnreadableImage."""
    try:
        yield
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
    return as_decoded(imaging.to_derivative(image), image.size)


def as_decoded(derivative: Image.Image, original_size: tuple[int, int]) -> Decoded:
    """A derivative as it leaves the child."""
    digest = imaging.derivative_hash(derivative)
    return Decoded(imaging.encode_png(derivative), digest, original_size, derivative.size)


def thumbnail(data: bytes, long_side: int, cut: Cut | None = None) -> bytes:
    """Runs in the child: a picture as people are shown it, at most `long_side` pixels long."""
    image = imaging.open_image(data)
    return imaging.encode_png(imaging.to_picture(imaging.upright(image, *cut) if cut else image, long_side))


def _begin(memory: int, modules: Sequence[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for module in modules:
        import_module(module)
