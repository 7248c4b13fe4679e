"""Running a batch through a model so that one bad item, or one batch too large, costs no other item."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from linework_core.errors import LineworkError
from linework_embedder.errors import TooLargeForDevice
from linework_vision.encoder import Vectors
from linework_vision.errors import NotFinite

log = structlog.get_logger()
Item = TypeVar("Item")
Vector = NDArray[np.float32]


def encode_each(encode: Callable[[Sequence[Item]], Vectors], batch: Sequence[Item]) -> list[Vector | LineworkError]:
    """The vector of each item, or why it has none.

    A batch that exceeds the device's memory, or in which some item has no finite vector, is tried again in
    halves. Any other exception of the model is no item's fault and is raised.
    """
    problem: LineworkError
    try:
        return list(encode(batch))
    except NotFinite as error:
        problem = error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        problem = TooLargeForDevice(f"A single item does not fit in the device's memory: {str(error)[:200]}")
    # Out of the except block, whose traceback would hold on to the failed batch's memory.
    if len(batch) == 1:
        return [problem]
    log.warning("batch_halved", size=len(batch), reason=problem.type)
    release_memory()
    middle = len(batch) // 2
    return encode_each(encode, batch[:middle]) + encode_each(encode, batch[middle:])


def is_out_of_memory(error: BaseException) -> bool:
    """True for a device that ran out of memory; it is whole again once the batch is let go."""
    torch = sys.modules.get("torch")  # HOG runs without torch
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def is_fatal(error: BaseException) -> bool:
    """True for an error after which the device answers nothing more in this process, as CUDA's are."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


def release_memory() -> None:
    """Give the allocator's free blocks back, so that a smaller batch finds room in one piece."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
