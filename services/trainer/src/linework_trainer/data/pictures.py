"""Drawings decoded once into one file, at the size in which they are trained on."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import structlog
from numpy.typing import NDArray
from obstore.store import ObjectStore

from linework_core import imaging, store
from linework_core.errors import NotFound, UnreadableImage
from linework_vision.identity import hash_of
from linework_vision.pictures import Preprocessing

log = structlog.get_logger()
Greys = NDArray[np.uint8]
UNUSED_DAYS = 7  # a file that no training asked for in so long is removed
AHEAD = 64  # drawings that are read while others are decoded


def cached_pictures(
    folder: Path,
    derivatives: Sequence[str],
    preprocessing: Preprocessing,
    objects: ObjectStore,
    *,
    told: Callable[[int], None] = lambda done: None,
) -> tuple[Path, NDArray[np.bool_]]:
    """A file of raw greys, uint8 (n, height, width), made where it is missing, and which of the n could be read.

    The file is named by its content: another training on the same drawings at the same size finds it. `told` hears
    how many are done, and may raise to stop. Raises OSError, Unavailable.
    """
    shape = preprocessing.model_dump(mode="json", include={"height", "width", "interpolation", "fit"})
    key = hash_of({"derivatives": list(derivatives), "recipe": imaging.RECIPE, "shape": shape})
    file, readable = folder / f"{key}.u8", folder / f"{key}.readable.npy"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unused(folder)
    if not (file.exists() and readable.exists()):
        draft = folder / f".{key}.{uuid4().hex[:8]}"
        try:
            whole = _decode(draft, derivatives, preprocessing, objects, told)
            np.save(readable, whole)
            draft.rename(file)  # last: a file that has its name is complete
        finally:
            draft.unlink(missing_ok=True)
    os.utime(file)
    return file, np.load(readable)


def open_pictures(file: Path, count: int, height: int, width: int) -> Greys:
    """The file's pictures, read from disk as they are asked for."""
    return np.memmap(file, dtype=np.uint8, mode="r", shape=(count, height, width))


def _decode(
    file: Path, derivatives: Sequence[str], preprocessing: Preprocessing, objects: ObjectStore,
    told: Callable[[int], None],
) -> NDArray[np.bool_]:  # fmt: skip
    shape = (len(derivatives), preprocessing.height, preprocessing.width)
    greys = np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    readable = np.zeros(len(derivatives), dtype=bool)

    def decode(place: int) -> None:
        try:
            png = store.get(objects, store.derivative_key(derivatives[place]))
            with imaging.open_image(png) as picture:
                greys[place] = preprocessing.apply(picture.convert("L"))
            readable[place] = True
        except (NotFound, UnreadableImage) as error:
            log.warning("drawing_not_read", derivative=derivatives[place], reason=error.detail)

    threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")
    try:
        begun: deque[Future[None]] = deque()
        for place in range(len(derivatives)):
            begun.append(threads.submit(decode, place))
            if len(begun) >= AHEAD:
                begun.popleft().result()
                told(place + 1 - len(begun))
        for future in begun:
            future.result()
    finally:
        threads.shutdown(cancel_futures=True)
    greys.flush()
    told(len(derivatives))
    return readable


def _remove_unused(folder: Path) -> None:
    limit = time.time() - UNUSED_DAYS * 86400
    for file in folder.glob("*.u8"):
        if file.stat().st_mtime < limit:
            file.unlink(missing_ok=True)
            file.with_suffix(".readable.npy").unlink(missing_ok=True)
