"""The papers' networks: their names at timm, and the task that prepares one without labels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from linework_trainer.losses import Components
from linework_vision.errors import BadSpec
from linework_vision.pictures import Preprocessing
from linework_vision.timm_encoder import create_backbone

# open_clip's image towers are models of timm's too, with the same weights to be had at the hub
PAPER_NAMES = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "efficientnet-b0": "tf_efficientnet_b0",
    "vit-b-32": "vit_base_patch32_clip_224",
    "swinv2-b": "swinv2_base_window8_256",
    "sketch-a-net": "sketch_a_net",
}
OPEN_CLIP_NAMES = {
    "ViT-B-32": "vit_base_patch32_clip_224",
    "ViT-B-16": "vit_base_patch16_clip_224",
    "ViT-L-14": "vit_large_patch14_clip_224",
    "RN50": "resnet50_clip",
    "RN101": "resnet101_clip",
}


def backbone_name(name: str) -> str:
    """timm's name of a backbone, given as a paper calls it, as `open_clip:NAME`, or as timm does. Raises BadSpec."""
    prefix, colon, model = name.partition(":")
    if prefix == "open_clip" and colon:
        if model not in OPEN_CLIP_NAMES:
            known = ", ".join(OPEN_CLIP_NAMES)
            raise BadSpec(f"Of open_clip's image towers these can be trained: {known}; not '{model}'.")
        return OPEN_CLIP_NAMES[model]
    return PAPER_NAMES.get(name, name)


class RotationTask(nn.Module):
    """RotNet (Gidaris et al. 2018): by how many quarter turns was a drawing turned? Needs no labels.

    Trains `backbone`, which then begins the real training; the head is thrown away.
    """

    def __init__(self, backbone: nn.Module, features: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(features, 4)

    @classmethod
    def of(cls, backbone: str, preprocessing: Preprocessing, *, pretrained: bool = False) -> "RotationTask":
        """For a backbone by name. Raises BadSpec for a name that nobody knows, or an input that is not square."""
        if preprocessing.height != preprocessing.width:
            raise BadSpec("Turned by a quarter a picture keeps its size only if it is square.")
        net = create_backbone(backbone_name(backbone), pretrained=pretrained, image_size=preprocessing.height)
        with torch.inference_mode():
            features = net.eval()(torch.zeros(1, 3, preprocessing.height, preprocessing.width))
        return cls(net.train(), int(features.shape[1]))

    def forward(self, pictures: Tensor) -> Components:
        """Normalised pictures (n, 3, size, size), each seen in all four positions: {"rotation"} to be minimised,
        and the share that was told right, {"accuracy"}.
        """
        turned = torch.cat([pictures.rot90(turns, dims=(2, 3)) for turns in range(4)])
        turns = torch.arange(4, device=pictures.device).repeat_interleave(len(pictures))
        answers = self.head(self.backbone(turned)).float()
        right = (answers.argmax(dim=1) == turns).float().mean()
        return {"rotation": functional.cross_entropy(answers, turns), "accuracy": right.detach()}
