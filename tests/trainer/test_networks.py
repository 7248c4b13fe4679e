"""The papers' networks by name, GeM by its formula, and the task without labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from linework_trainer.networks import OPEN_CLIP_NAMES, PAPER_NAMES, RotationTask, backbone_name
from linework_vision import load
from linework_vision.checkpoint import CheckpointConfig, DrawingNet, GeM, save_checkpoint
from linework_vision.errors import BadSpec
from linework_vision.pictures import Preprocessing
from linework_vision.sketch_a_net import SketchANet

import timm  # isort: skip


def preprocessing(size: int) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    return Preprocessing(height=size, width=size, interpolation="bilinear", mean=half, std=half)


class TestNames:
    @pytest.mark.parametrize("name", [*PAPER_NAMES, *(f"open_clip:{name}" for name in OPEN_CLIP_NAMES)])
    def test_every_name_is_a_model_that_timm_knows(self, name: str) -> None:
        assert timm.is_model(backbone_name(name))

    def test_a_name_of_timms_is_left_as_it_is(self) -> None:
        assert backbone_name("mobilenetv3_small_050") == "mobilenetv3_small_050"

    def test_a_tower_that_cannot_be_trained_is_refused_with_those_that_can(self) -> None:
        with pytest.raises(BadSpec, match="ViT-B-32"):
            backbone_name("open_clip:ViT-Z-99")


class TestSketchANet:
    def test_it_has_the_papers_layers(self) -> None:
        net = SketchANet(num_classes=250, in_chans=1)
        shapes = [tuple(weight.shape) for weight in net.parameters() if weight.ndim > 1]
        assert shapes == [
            (64, 1, 15, 15),
            (128, 64, 5, 5),
            (256, 128, 3, 3),
            (256, 256, 3, 3),
            (256, 256, 3, 3),
            (512, 256, 7, 7),
            (512, 512, 1, 1),
            (250, 512),
        ]
        assert sum(weight.numel() for weight in net.parameters()) == pytest.approx(8.5e6, rel=0.01)

    def test_its_maps_are_7_by_7_at_the_papers_size_and_other_sizes_pass(self) -> None:
        net = SketchANet().eval()
        assert net.forward_features(torch.zeros(1, 3, 225, 225)).shape == (1, 256, 7, 7)
        for size in (81, 112, 128, 225):
            assert net(torch.zeros(2, 3, size, size)).shape == (2, 250)

    def test_it_is_served_like_any_model_of_timms(self) -> None:
        encoder = load("timm:sketch_a_net;pretrained=false;seed=3;image_size=112")
        assert encoder.manifest.dimension == 512

    def test_a_checkpoint_of_it_is_an_encoder(self, tmp_path: Path) -> None:
        config = CheckpointConfig(
            name="sketch", backbone="sketch_a_net", projection=32, preprocessing=preprocessing(112)
        )
        save_checkpoint(tmp_path / "sketch", DrawingNet(config), config)
        encoder = load(f"checkpoint:{tmp_path / 'sketch'}")
        assert encoder.manifest.dimension == 32
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8))
        (vector,) = encoder.encode_drawings([encoder.preprocess(picture)])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


def test_gem_is_its_formula() -> None:
    features = torch.rand(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = [[sum(float(x) ** 3 for x in channel.flatten()) / 12 for channel in picture] for picture in features]
    torch.testing.assert_close(GeM(3.0)(features), torch.tensor(expected) ** (1 / 3))
    torch.testing.assert_close(GeM(1.0)(features), features.mean(dim=(2, 3)))
    torch.testing.assert_close(GeM(200.0)(features), features.amax(dim=(2, 3)), rtol=0.03, atol=0)


class TestRotation:
    def test_each_drawing_is_seen_in_all_four_positions(self) -> None:
        class Corner(torch.nn.Module):
            """Which corner is bright: enough to tell the turn."""

            def forward(self, pictures: torch.Tensor) -> torch.Tensor:
                corners = [(0, 0), (-1, 0), (-1, -1), (0, -1)]  # as counter-clockwise turns move the first
                return torch.stack([pictures[:, 0, row, column] for row, column in corners], dim=1)

        task = RotationTask(Corner(), 4)
        with torch.no_grad():
            task.head.weight.copy_(20 * torch.eye(4))
            task.head.bias.zero_()
        pictures = torch.zeros(3, 3, 8, 8)
        pictures[:, :, 0, 0] = 1
        answer = task(pictures)
        assert answer["accuracy"].item() == 1
        assert answer["rotation"].item() < 1e-6

    def test_it_learns_without_labels(self) -> None:
        torch.manual_seed(0)
        small = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 8), torch.nn.Tanh())
        task = RotationTask(small, 8)
        pictures = torch.zeros(8, 3, 16, 16)
        pictures[:, :, :5, :] = torch.rand(8, 1, 5, 16) + 1
        optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            loss = task(pictures)["rotation"]
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.5 < losses[0]

    def test_what_it_trained_begins_the_real_training(self) -> None:
        task = RotationTask.of("resnet18", preprocessing(64))
        config = CheckpointConfig(name="n", backbone="resnet18", pooling="gem", preprocessing=preprocessing(64))
        net = DrawingNet(config)
        net.backbone.load_state_dict(task.backbone.state_dict())

    def test_a_picture_that_is_no_square_is_refused(self) -> None:
        with pytest.raises(BadSpec, match="square"):
            RotationTask.of("resnet18", preprocessing(64).model_copy(update={"width": 32}))
