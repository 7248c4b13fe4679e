"""The device that models run on: its threads and its share of memory."""

from typing import Any

from linework_core.settings import Settings


def prepare_device(settings: Settings) -> None:
    """Apply the settings to torch, before the first model is loaded. HOG on a CPU needs no torch: nothing then."""
    if settings.cpu_threads == 0 and not settings.device.startswith("cuda"):
        return
    import torch

    if settings.cpu_threads:
        torch.set_num_threads(settings.cpu_threads)
    if settings.device.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(settings.gpu_memory_fraction, torch.device(settings.device).index)
        # The encoder's identity says 'fp32'; by default convolutions would run in TF32, with 10 bits of mantissa.
        cudnn: Any = torch.backends.cudnn
        cudnn.conv.fp32_precision = "ieee"


def warm_up_sizes(settings: Settings) -> tuple[int, ...]:
    """Batch sizes to run once at the start: a GPU plans memory and kernels at its first full batch."""
    return (1, settings.embed_batch_size) if settings.device.startswith("cuda") else (1,)
