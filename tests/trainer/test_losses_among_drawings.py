"""ArcFace, triplet, contrastive and hierarchical losses, against pytorch-metric-learning and against loops."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from linework_trainer.losses import (
    ArcFaceLoss,
    ClassificationLoss,
    ContrastiveLoss,
    HierarchicalLoss,
    LossBatch,
    Objective,
    Temperature,
    TripletLoss,
)
from linework_vision import torchvision_gap  # noqa: F401  # before pytorch-metric-learning
from tests.trainer.batches import random_batch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_metric_learning import distances, losses, reducers


def slope(loss: Tensor, batch: LossBatch) -> Tensor:
    """The gradient along the sphere of unit vectors: all that passes the normalisation before a loss."""
    gradient = torch.autograd.grad(loss, batch.drawings, retain_graph=True)[0]
    return gradient - (gradient * batch.drawings).sum(dim=1, keepdim=True) * batch.drawings


class TestArcFace:
    @pytest.mark.parametrize("margin", [0.5, 0.1, 1.5])
    def test_it_is_pytorch_metric_learnings(self, margin: float) -> None:
        batch = random_batch()
        ours = ArcFaceLoss(6, 16, margin=margin, scale=30).double()
        theirs = losses.ArcFaceLoss(6, 16, margin=math.degrees(margin), scale=30).double()
        theirs.W.data = ours.centres.detach().T.clone()
        mine, reference = ours(batch)["arcface"], theirs(batch.drawings, batch.patents)
        torch.testing.assert_close(mine, reference)
        torch.testing.assert_close(slope(mine, batch), slope(reference, batch))

    def test_items_without_a_class_do_not_count(self) -> None:
        batch = random_batch()
        known = batch.subclasses >= 0
        part = batch.map(lambda tensor: tensor[known])
        loss = ArcFaceLoss(6, 16, over="subclasses").double()
        torch.testing.assert_close(loss(batch), loss(part))
        nobody = replace(batch, subclasses=torch.full_like(batch.subclasses, -1))
        assert loss(nobody)["arcface"].item() == 0

    def test_its_gradient_is_finite_where_a_drawing_is_at_or_opposite_its_centre(self) -> None:
        loss = ArcFaceLoss(6, 16).double()
        batch = random_batch()
        own = torch.nn.functional.normalize(loss.centres.detach()[batch.patents])
        for sign in (1, -1):
            touching = replace(batch, drawings=(sign * own).requires_grad_())
            assert slope(loss(touching)["arcface"], touching).isfinite().all()


def test_the_classification_stage_is_cross_entropy() -> None:
    batch = random_batch()
    loss = ClassificationLoss(6, 16, scale=10).double()
    expected = torch.nn.functional.cross_entropy(loss.classifier(10 * batch.drawings), batch.patents)
    torch.testing.assert_close(loss(batch)["classification"], expected)


class TestTriplet:
    def test_with_squared_distances_it_is_half_of_pytorch_metric_learnings(self) -> None:
        batch = random_batch()
        reference = losses.TripletMarginLoss(
            margin=0.4, distance=distances.LpDistance(p=2, power=2), reducer=reducers.MeanReducer()
        )(batch.drawings, batch.patents)
        mine = TripletLoss(margin=0.4, hardest=None)(batch)["triplet"]
        torch.testing.assert_close(mine, reference / 2)
        torch.testing.assert_close(slope(mine, batch), slope(reference / 2, batch))

    def test_the_hardest_negatives_are_the_nearest(self) -> None:
        batch = random_batch(size=12)
        vectors, patents = batch.drawings.detach(), batch.patents.tolist()
        found = []
        for a in range(12):
            squares = [float((vectors[a] - vectors[j]).square().sum()) for j in range(12)]
            nearest = sorted(square for j, square in enumerate(squares) if patents[j] != patents[a])[:2]
            positives = [squares[j] for j in range(12) if patents[j] == patents[a] and j != a]
            found += [max(0.0, 0.5 + p - n) / 2 for p in positives for n in nearest]
        assert TripletLoss(hardest=2)(batch)["triplet"].item() == pytest.approx(sum(found) / len(found))


class TestContrastive:
    @pytest.mark.parametrize("hardest", [None, 3])
    def test_it_is_eq_4_written_out(self, hardest: int | None) -> None:
        batch, margin = random_batch(size=12), 1.3
        vectors, patents = batch.drawings.detach(), batch.patents.tolist()
        together, apart = [], []
        for i in range(12):
            lengths = [float((vectors[i] - vectors[j]).norm()) for j in range(12)]
            together += [lengths[j] ** 2 / 2 for j in range(12) if patents[j] == patents[i] and j != i]
            others = sorted(lengths[j] for j in range(12) if patents[j] != patents[i])[:hardest]
            apart += [max(0.0, margin - length) ** 2 / 2 for length in others]
        expected = sum(together) / len(together) + sum(apart) / len(apart)
        loss = ContrastiveLoss(margin=margin, hardest=hardest)(batch)["contrastive"]
        assert loss.item() == pytest.approx(expected)

    def test_two_equal_drawings_of_different_patents_have_a_finite_gradient(self) -> None:
        batch = random_batch()
        same = replace(batch, drawings=batch.drawings.detach()[:1].expand(24, 16).clone().requires_grad_())
        assert slope(ContrastiveLoss()(same)["contrastive"], same).isfinite().all()


class TestHierarchical:
    def test_each_level_is_pytorch_metric_learnings_supcon(self) -> None:
        batch = random_batch()
        components = HierarchicalLoss(Temperature(0.1), ["patents", "categories"])(batch)
        assert list(components) == ["patents", "categories"]
        for level, loss in components.items():
            reference = losses.SupConLoss(temperature=0.1)(batch.drawings, getattr(batch, level))
            torch.testing.assert_close(loss, reference)
            torch.testing.assert_close(slope(loss, batch), slope(reference, batch))

    def test_drawings_without_a_class_do_not_count_as_one_class(self) -> None:
        batch = random_batch()
        loss = HierarchicalLoss(Temperature(), ["subclasses"])
        nobody = replace(batch, subclasses=torch.full_like(batch.subclasses, -1))
        assert loss(nobody)["subclasses"].item() == 0
        assert slope(loss(nobody)["subclasses"], nobody).eq(0).all()

    def test_a_batch_of_one_drawing_has_no_loss_and_no_nan(self) -> None:
        one = random_batch().map(lambda tensor: tensor[:1].detach().requires_grad_(tensor.requires_grad))
        outcome = Objective([HierarchicalLoss(Temperature()), TripletLoss(), ContrastiveLoss()])(one)
        assert outcome.total.item() == 0
        assert slope(outcome.total, one).isfinite().all()
