"""The loop: what it learns, how it ends, and how it goes on."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from linework_core.recipes import BadRecipe
from linework_trainer.training.errors import Diverged
from linework_trainer.training.plan import Plan
from linework_vision.checkpoint import DrawingNet
from tests.trainer.tiny import STILL, Recorder, losses, tiny, training_of, write_training

PATENTNET = "patentnet-resnet18-rotnet"


def weights(net: DrawingNet) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_training_learns_to_find_drawings_of_one_patent(tmp_path: Path) -> None:
    recipe = tiny(stage={"epochs": 12, "lr": 2e-3}, validation={"share": 0.3}, augmentation=STILL)
    write_training(tmp_path, recipe, patents=20)
    training = training_of(tmp_path)
    training.run()
    first, last = losses(training.history.rows)[:3], losses(training.history.rows)[-3:]
    assert sum(last) < 0.8 * sum(first)
    assert training.looks[-1]["map"] > 0.3
    assert training.images == len(training.history.rows) * 8


def test_a_training_in_bf16_learns_and_ends_with_weights_in_single_precision(tmp_path: Path) -> None:
    recipe = tiny(stage={"epochs": 12, "lr": 2e-3}, validation={"share": 0.3}, augmentation=STILL)
    write_training(tmp_path, recipe, patents=20, precision="bf16")
    training = training_of(tmp_path)
    found = weights(training.run())
    first, last = losses(training.history.rows)[:3], losses(training.history.rows)[-3:]
    assert sum(last) < 0.8 * sum(first)
    assert all(tensor.dtype == torch.float32 for tensor in found.values() if tensor.is_floating_point())


@pytest.mark.parametrize("save_seconds", [0.0, 1e9], ids=["kept at every step", "never kept"])
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("linework", {}),
        ("lo2024-resnet50", {"model": {"head": "mlp"}, "backbone": "test_vit"}),
        (PATENTNET, {"stage": {"epochs": 2}}),
        ("linework", {"stage": {"accumulate": 2, "chunk": 3, "epochs": 4}}),
        ("linework", {"validation": {"share": 0.3, "patience": 1}}),
    ],
    ids=["linework", "lo2024", "three stages", "chunks", "early stop"],
)
def test_a_training_killed_anywhere_and_resumed_takes_the_same_steps_as_one_that_was_not(
    tmp_path: Path, name: str, overrides: dict[str, Any], save_seconds: float
) -> None:
    recipe = tiny(name, **overrides)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        write_training(folder, recipe, patents=8, save_seconds=save_seconds)
    straight = training_of(whole)
    expected = weights(straight.run())
    for steps in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            training_of(broken, Recorder(end_before=steps)).run()
    resumed = training_of(broken)
    found = weights(resumed.run())
    assert losses(resumed.history.rows) == losses(straight.history.rows)
    assert resumed.history.rows == straight.history.rows
    assert resumed.looks == straight.looks
    assert same(found, expected)


def test_a_state_of_another_recipe_is_not_gone_on_with(tmp_path: Path) -> None:
    write_training(tmp_path, tiny(), save_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        training_of(tmp_path, Recorder(end_before=3)).run()
    Plan.read(tmp_path).model_copy(update={"recipe": tiny(seed=1)}).write(tmp_path)
    training = training_of(tmp_path)
    training.run()
    assert training.history.rows[0]["step"] == 0
    assert len(training.history.rows) == len({row["step"] for row in training.history.rows})


def test_another_seed_is_another_training_and_the_same_seed_is_the_same(tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_training(folder, tiny(seed=seed, stage={"epochs": 1}))
        training = training_of(folder)
        training.run()
        found.append(losses(training.history.rows))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_a_batch_in_chunks_has_the_gradient_of_the_whole(tmp_path: Path, chunk: int) -> None:
    histories = []
    for size in (None, chunk):
        folder = tmp_path / str(size)
        folder.mkdir()
        write_training(
            folder, tiny(backbone="test_vit", model={"pooling": "backbone"}, stage={"epochs": 1, "chunk": size})
        )
        training = training_of(folder)
        training.run()
        histories.append(training.history.rows)
    for one, other in zip(*histories, strict=True):
        assert one["total"] == pytest.approx(other["total"], rel=1e-4)
        assert one["gradient"] == pytest.approx(other["gradient"], rel=1e-3)


def test_batches_prepared_by_other_processes_are_the_same(tmp_path: Path) -> None:
    found = []
    for loaders in (0, 1):
        folder = tmp_path / str(loaders)
        folder.mkdir()
        write_training(folder, tiny(stage={"epochs": 1}), loaders=loaders)
        training = training_of(folder)
        training.run()
        found.append(losses(training.history.rows))
    assert found[0] == found[1]


def test_a_loss_that_is_no_number_ends_the_training_with_its_reason(tmp_path: Path) -> None:
    write_training(tmp_path, tiny(stage={"lr": 1e18, "clip_norm": None, "warmup": 0}), save_seconds=0.0)
    training = training_of(tmp_path)
    with pytest.raises(Diverged, match="learning rate"):
        training.run()
    kept = training.kept.load()
    assert kept is None or all(torch.isfinite(tensor).all() for tensor in kept["net"].values())


def test_early_stop_gives_the_best_weights_that_were_seen(tmp_path: Path) -> None:
    recipe = tiny(stage={"epochs": 40, "lr": 0.3}, validation={"share": 0.4, "patience": 2})
    write_training(tmp_path, recipe)
    training = training_of(tmp_path)
    training.run()
    scores = [look["map"] for look in training.looks]
    assert len(scores) < 40
    assert scores.index(max(scores)) == len(scores) - 3
    assert training._score() == pytest.approx(max(scores))


def test_a_report_tells_how_it_goes(tmp_path: Path) -> None:
    recipe = tiny("lo2024-resnet50", stage={"epochs": 2})
    write_training(tmp_path, recipe)
    recorder = Recorder()
    training_of(tmp_path, recorder).run()
    last = recorder.reports[-1]
    assert last["stage"] == "main"
    assert last["epoch"] >= 2
    assert last["done"] == last["total"] == last["step"] == last["steps"]
    assert set(last["losses"]) == set(last["s"]) == {"clip", "l_cls", "l_cat"}
    assert 0.01 <= last["temperature"] < 1
    assert last["images_per_second"] > 0
    assert last["eta_seconds"] == 0
    assert all(math.isfinite(last[name]) for name in ("loss", "lr", "gradient"))


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path: Path) -> None:
    from linework_trainer.data.batches import Course

    with pytest.raises(BadRecipe, match="cannot be shared"):
        Course.of(tiny(stage={"batch_size": 9}).stages["main"], 100, 2)
