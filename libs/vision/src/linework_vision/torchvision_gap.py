"""Makes `import torchvision` work beside a torch build that its C extension does not fit.

torchvision's wheels are built against one torch build; next to another (a CPU torch beside the wheel for
CUDA, say) its extension cannot be loaded. That alone is harmless, for timm and open_clip use only its
Python parts. But at import torchvision also describes two of the extension's operators to torch, and fails
with 'operator torchvision::nms does not exist'. Declaring these operators, without any implementation, is
all that is missing. Where the extension fits nothing is done. Import this before timm and open_clip.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # torch forgets the operators when this object goes


def close_gap() -> bool:
    """Declare torchvision's operators if its extension cannot. True if that was needed."""
    if _declared or _extension_loads():
        return bool(_declared)
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        library.define(operator)
    _declared.append(library)
    return True


def _extension_loads() -> bool:
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    package = find_spec("torchvision")
    if package is None or package.origin is None:
        return True  # nothing to mend
    try:
        for library in Path(package.origin).parent.glob("_C*"):
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")


close_gap()
