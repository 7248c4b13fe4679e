"""Sketch-a-Net (Yu et al. 2017, 'Sketch-a-Net: a deep neural network that beats humans'), as a model of timm's.

Importing this module registers it: `timm:sketch_a_net;pretrained=false`, or the backbone of a checkpoint. It is
here and not in the trainer because what is trained must be served.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from linework_vision import torchvision_gap  # noqa: F401  # before timm

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model  # isort: skip

__all__ = ["SketchANet"]

default_cfgs = generate_default_cfgs(
    {
        "sketch_a_net.untrained": {
            "input_size": (3, 225, 225),
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "first_conv": "features.0",
            "classifier": "head",
        }
    }
)


class SketchANet(nn.Module):
    """One channel of the paper's ensemble: large first filters, for lines have no texture; 8.5 million weights."""

    num_features = head_hidden_size = 512

    def __init__(self, num_classes: int = 250, in_chans: int = 3, drop_rate: float = 0.5) -> None:
        super().__init__()
        self.num_classes, self.drop_rate = num_classes, drop_rate
        self.features = nn.Sequential(
            nn.Conv2d(in_chans, 64, kernel_size=15, stride=3),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 128, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            *(layer for depth in (128, 256, 256) for layer in (nn.Conv2d(depth, 256, 3, padding=1), nn.ReLU())),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.sixth = nn.Conv2d(256, 512, kernel_size=7)
        self.seventh = nn.Conv2d(512, 512, kernel_size=1)
        self.head = nn.Linear(512, num_classes) if num_classes else nn.Identity()

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, h, w) to classes, or features (n, 512) where there are none. h, w ≥ 81; the paper's are 225."""
        return self.forward_head(self.forward_features(pictures))

    def forward_features(self, pictures: Tensor) -> Tensor:
        """The maps after the fifth layer, (n, 256, 7, 7) for 225 × 225."""
        maps: Tensor = self.features(pictures)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps to classes or features; `pre_logits` as timm means it."""
        maps = functional.adaptive_avg_pool2d(maps, 7)  # changes nothing at the paper's size; lets others in
        hidden = functional.dropout(self.sixth(maps).relu(), self.drop_rate, self.training)
        hidden = functional.dropout(self.seventh(hidden).relu(), self.drop_rate, self.training).flatten(1)
        return hidden if pre_logits else self.head(hidden)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """A new last layer, or none."""
        self.num_classes = num_classes
        self.head = nn.Linear(512, num_classes) if num_classes else nn.Identity()


@register_model
def sketch_a_net(pretrained: bool = False, **more: Any) -> SketchANet:
    """What timm.create_model("sketch_a_net") makes. There are no weights to be had: RuntimeError if pretrained."""
    net: SketchANet = build_model_with_cfg(SketchANet, "sketch_a_net", pretrained, **more)
    return net
