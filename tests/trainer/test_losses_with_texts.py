"""L_clip, L_cls, L_cat and their sum, against open_clip and against loops written out."""

import math

import pytest
import torch
from torch import Tensor

from linework_trainer.losses import (
    ClasswiseLoss,
    ClipLoss,
    Label,
    LossBatch,
    Objective,
    Temperature,
    UncertaintyWeighting,
    WeightedSum,
)
from linework_vision import torchvision_gap  # noqa: F401  # before open_clip
from tests.trainer.batches import random_batch, with_single_positives

from open_clip.loss import ClipLoss as OpenClipLoss  # isort: skip


def gradients(loss: Tensor, batch: LossBatch) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [batch.drawings, batch.described()], retain_graph=True))


def test_the_symmetric_clip_loss_is_open_clips() -> None:
    batch, temperature = random_batch(), Temperature(0.05)
    ours = ClipLoss(temperature)(batch)["clip"]
    theirs = OpenClipLoss()(batch.drawings, batch.texts, temperature.log_scale.exp())
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, batch), gradients(theirs, batch))
    slopes = [torch.autograd.grad(loss, temperature.log_scale)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes)


def test_the_printed_clip_loss_goes_from_drawings_to_texts_alone() -> None:
    batch, temperature = random_batch(size=6), Temperature(0.1)
    v, t = batch.drawings.detach(), batch.described().detach()
    expected = 0.0
    for i in range(6):
        total = sum(math.exp(float(v[i] @ t[j]) / 0.1) for j in range(6))
        expected -= math.log(math.exp(float(v[i] @ t[i]) / 0.1) / total) / 6
    loss = ClipLoss(temperature, "drawing-to-text")(batch)["clip"]
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert ClipLoss(temperature)(batch)["clip"].item() != pytest.approx(expected, rel=1e-3)


def written_out(batch: LossBatch, label: Label, temperature: float) -> float:
    """Eq. 2 of Lo et al. as two loops, the mean of both directions."""
    labels, size = batch.labels(label).tolist(), len(batch.drawings)
    total = 0.0
    drawings, texts = batch.drawings.detach(), batch.described().detach()
    for of, to in [(drawings, texts), (texts, drawings)]:
        for i in range(size):
            positives = [p for p in range(size) if p == i or (labels[p] == labels[i] != -1)]
            denominator = sum(math.exp(float(of[i] @ to[j]) / temperature) for j in range(size))
            for p in positives:
                chance = math.exp(float(of[i] @ to[p]) / temperature) / denominator
                total -= math.log(chance) / len(positives) / size / 2
    return total


@pytest.mark.parametrize("label", ["subclasses", "categories", "patents"])
def test_the_loss_over_classes_is_the_double_loop(label: Label) -> None:
    batch = random_batch(size=16)
    loss = ClasswiseLoss(Temperature(0.1), label, "cls")(batch)["cls"]
    assert loss.item() == pytest.approx(written_out(batch, label, 0.1), rel=1e-6)


@pytest.mark.parametrize("label", ["subclasses", "categories"])
def test_with_single_positives_the_loss_over_classes_is_clips(label: Label) -> None:
    batch, temperature = with_single_positives(random_batch()), Temperature()
    ours = ClasswiseLoss(temperature, label, "cls")(batch)["cls"]
    clip = ClipLoss(temperature)(batch)["clip"]
    torch.testing.assert_close(ours, clip)
    torch.testing.assert_close(gradients(ours, batch), gradients(clip, batch))


def test_a_drawing_without_a_class_belongs_to_its_own_text_alone() -> None:
    batch = random_batch()
    nobody = LossBatch(
        drawings=batch.drawings,
        texts=batch.texts,
        patents=batch.patents,
        subclasses=torch.full_like(batch.patents, -1),
        classes=batch.classes,
        categories=batch.categories,
    )
    temperature = Temperature()
    ours = ClasswiseLoss(temperature, "subclasses", "cls")(nobody)["cls"]
    torch.testing.assert_close(ours, ClipLoss(temperature)(batch)["clip"])


def test_a_batch_without_texts_is_refused() -> None:
    batch = random_batch()
    silent = LossBatch(
        drawings=batch.drawings,
        patents=batch.patents,
        subclasses=batch.subclasses,
        classes=batch.classes,
        categories=batch.categories,
    )
    with pytest.raises(ValueError, match="no texts"):
        ClipLoss(Temperature())(silent)


def test_uncertainty_weights_the_losses_as_eq_3_has_it() -> None:
    weighting = UncertaintyWeighting(["clip", "cls"])
    losses = {"clip": torch.tensor(2.0), "cls": torch.tensor(5.0)}
    assert weighting(losses).item() == pytest.approx(7.0)  # each s begins at 0
    with torch.no_grad():
        weighting.log_variances["clip"].fill_(0.5)
        weighting.log_variances["cls"].fill_(-1.0)
    assert weighting(losses).item() == pytest.approx(2 * math.exp(-0.5) + 0.5 + 5 * math.e - 1.0)
    weighting(losses).backward()
    slope = weighting.log_variances["cls"].grad
    assert slope is not None
    assert slope.item() == pytest.approx(1 - 5 * math.e)
    assert weighting.values() == pytest.approx({"clip": 0.5, "cls": -1.0})


def test_the_learned_weights_settle_where_each_loss_weighs_its_inverse() -> None:
    weighting = UncertaintyWeighting(["a", "b"])
    losses = {"a": torch.tensor(4.0), "b": torch.tensor(0.5)}
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    assert weighting.values() == pytest.approx({"a": math.log(4), "b": math.log(0.5)}, abs=1e-3)


def test_the_temperature_never_falls_below_its_bound_and_can_rise_again() -> None:
    temperature = Temperature(0.02, smallest=0.01)
    optimizer = torch.optim.SGD(temperature.parameters(), lr=1.0)
    for sign in (-1, -1, 1):
        optimizer.zero_grad()
        (sign * temperature(torch.tensor(0.02))).backward()
        optimizer.step()
        temperature(torch.tensor(0.0))
    assert temperature.value > 0.01
    with torch.no_grad():
        temperature.log_scale.fill_(100.0)
    assert temperature(torch.tensor(1.0)).item() == pytest.approx(100.0, rel=1e-5)


class TestObjective:
    def lo2024(self) -> Objective:
        temperature = Temperature()
        losses = [
            ClipLoss(temperature),
            ClasswiseLoss(temperature, "subclasses", "cls"),
            ClasswiseLoss(temperature, "categories", "cat"),
        ]
        return Objective(losses, UncertaintyWeighting(["clip", "cls", "cat"]))

    def test_it_names_its_components_and_adds_them(self) -> None:
        outcome = self.lo2024()(random_batch())
        assert set(outcome.components) == {"clip", "cls", "cat"}
        torch.testing.assert_close(outcome.total.detach(), sum(outcome.components.values()))
        assert not any(loss.requires_grad for loss in outcome.components.values())

    def test_losses_share_one_temperature_and_it_is_trained_once(self) -> None:
        names = dict(self.lo2024().named_parameters())
        assert [name for name in names if "log_scale" in name] == ["losses.0.temperature.log_scale"]

    def test_it_computes_in_single_precision_under_autocast(self) -> None:
        batch = random_batch().map(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)
        objective = self.lo2024()
        exact = objective(batch).total
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(objective(batch).total, exact, rtol=0, atol=0)
            halves = batch.map(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)
            assert objective(halves).total.dtype == torch.float32

    def test_two_losses_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="clip"):
            Objective([ClipLoss(Temperature()), ClipLoss(Temperature())])(random_batch())

    def test_a_weight_without_a_loss_is_refused(self) -> None:
        with pytest.raises(ValueError, match="clop"):
            Objective([ClipLoss(Temperature())], WeightedSum({"clop": 2.0}))(random_batch())
        with pytest.raises(ValueError, match="clip"):
            Objective([ClipLoss(Temperature())], UncertaintyWeighting(["cls"]))(random_batch())

    def test_fixed_weights_multiply(self) -> None:
        batch, clip = random_batch(), ClipLoss(Temperature())
        total = Objective([clip], WeightedSum({"clip": 2.0}))(batch).total
        torch.testing.assert_close(total, 2 * clip(batch)["clip"])
