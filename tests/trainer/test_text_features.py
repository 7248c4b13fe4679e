"""Texts go through the frozen tower once, and a drawing is compared with one of its own at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch

from linework_trainer.data.text_features import TextData, cached_features
from linework_vision.text_tower import TextTower, TextTowerRef

TEXTS = [("a lamp", "a light"), ("a chair",), ("a light", "a torch", "a lamp")]


class Counting(TextTower):
    """A tower that keeps what it was asked; a text's features are its letters."""

    def __init__(self, name: str = "counting") -> None:
        super().__init__(TextTowerRef(name=name, hash=name[0].encode().hex()[0] * 64, dimension=26), "cpu")
        self.asked: list[str] = []

    def _features(self, texts: list[str]) -> torch.Tensor:
        self.asked += texts
        return torch.tensor([[text.count(chr(97 + place)) for place in range(26)] for text in texts])


def test_each_different_text_goes_through_the_tower_once_in_all_trainings(tmp_path: Path) -> None:
    tower = Counting()
    first, *_ = cached_features(tmp_path, TEXTS, tower)
    assert sorted(tower.asked) == ["a chair", "a lamp", "a light", "a torch"]
    again, *_ = cached_features(tmp_path, TEXTS, tower)
    assert again == first
    assert len(tower.asked) == 4


def test_other_texts_have_features_of_their_own(tmp_path: Path) -> None:
    first, *_ = cached_features(tmp_path, TEXTS, Counting())
    assert cached_features(tmp_path, [*TEXTS, ("a table",)], Counting())[0] != first


def test_who_stops_while_texts_are_encoded_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(tmp_path, TEXTS, Counting(), stop)
    assert not list(tmp_path.iterdir())


def test_every_step_draws_one_of_the_drawings_own_texts_each_as_often_as_another(tmp_path: Path) -> None:
    file, ids, offsets = cached_features(tmp_path, TEXTS, Counting())
    data, dice = TextData(np.load(file), ids, offsets), np.random.default_rng(0)
    for drawing, own in enumerate(TEXTS):
        drawn = data.draw(np.full(3000, drawing), dice.random(3000))
        shares = [float((drawn == row).all(axis=1).mean()) for row in Counting().encode(own)]
        assert shares == pytest.approx([1 / len(own)] * len(own), abs=0.04)
