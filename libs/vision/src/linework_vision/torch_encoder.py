"""Any torch module from normalised pictures to features, as an encoder."""

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from linework_core.manifest import EncoderManifest
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec
from linework_vision.identity import digest_of
from linework_vision.pictures import Preprocessing
from linework_vision.registry import Precision

TextFeatures = Callable[[list[str], torch.device], Tensor]


class TorchEncoder(Encoder):
    """Runs `net`: float (n, 3, height, width), normalised, to features (n, dimension)."""

    def __init__(
        self,
        manifest: EncoderManifest,
        net: nn.Module,
        preprocessing: Preprocessing,
        *,
        device: str,
        precision: Precision,
        text_features: TextFeatures | None = None,
    ) -> None:
        super().__init__(manifest)
        self.device = torch.device(device)
        self.net = net.to(self.device).eval()
        self.preprocessing = preprocessing
        self.precision = precision
        self._text_features = text_features

    def preprocess(self, drawing: Image.Image) -> NDArray[np.uint8]:
        """Greys, uint8 (height, width): a twelfth of what normalised floats in three channels would take in a queue."""
        return self.preprocessing.apply(drawing)

    def _drawings(self, batch: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode(), self._autocast():
            pictures = normalise(torch.from_numpy(batch).to(self.device), self.preprocessing)
            return _to_numpy(self.net(pictures))

    def _texts(self, texts: list[str]) -> NDArray[Any]:
        assert self._text_features is not None
        with torch.inference_mode(), self._autocast():
            return _to_numpy(self._text_features(texts, self.device))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def normalise(greys: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 (n, height, width) to float (n, 3, height, width) by the model's mean and standard deviation."""
    mean = torch.tensor(preprocessing.mean, device=greys.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=greys.device).view(1, 3, 1, 1)
    return (greys.unsqueeze(1).float() / 255 - mean) / std


def feature_dimension(net: nn.Module, preprocessing: Preprocessing) -> int:
    """How many features `net` gives, asked of the model itself. Raises BadSpec if they are no flat vector."""
    white = torch.full((1, preprocessing.height, preprocessing.width), 255, dtype=torch.uint8)
    with torch.inference_mode():
        features = net.eval()(normalise(white, preprocessing))
    if features.ndim != 2:
        raise BadSpec(f"The model gives features of shape {tuple(features.shape[1:])}; a flat vector is needed.")
    return int(features.shape[1])


def weights_digest(net: nn.Module) -> str:
    """SHA-256 over a module's weights and buffers, wherever they are."""
    return digest_of({name: _to_array(tensor) for name, tensor in net.state_dict().items()})


def check_device(device: str) -> None:
    """Raises BadSpec when torch cannot compute on `device` here."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadSpec(f"Torch cannot use the device '{device}' on {platform.node()}: {error}") from error


def _to_array(tensor: Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    exact = tensor.float() if tensor.dtype == torch.bfloat16 else tensor  # numpy has no bfloat16
    return exact.numpy()


def _to_numpy(features: Tensor) -> NDArray[Any]:
    return features.float().cpu().numpy()
