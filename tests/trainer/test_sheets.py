"""Sheets made of single drawings: what the encoder meets where an office's sheets are not split."""

from pathlib import Path

import numpy as np
import pytest

from linework_core.recipes import Augmentation
from linework_trainer.data.dataset import TrainingData
from linework_trainer.data.sheets import Sheets
from linework_trainer.training.plan import DATA
from tests.trainer.tiny import tiny, write_training


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """36 drawings of 12 patents, three each, 32 pixels wide."""
    write_training(tmp_path, tiny(validation={"share": 0.25}))
    return TrainingData.open(tmp_path / DATA)


def test_a_drawing_stays_as_it_is_where_no_sheets_are_asked_for(data: TrainingData) -> None:
    sheets = Sheets(data, Augmentation())
    for drawing in data.train:
        assert np.array_equal(sheets(int(drawing), (1, 2)), data.pictures[drawing])


@pytest.mark.parametrize("what", ["company", "label"])
def test_a_sheet_shows_more_than_the_drawing_at_the_same_size_and_always_the_same(
    data: TrainingData, what: str
) -> None:
    sheets = Sheets(data, Augmentation.model_validate({what: 1.0}))
    drawing = int(data.train[0])
    drawn = [sheets(drawing, (7, number)) for number in range(8)]
    assert all(sheet.shape == data.pictures.shape[1:] for sheet in drawn)
    assert len({sheet.tobytes() for sheet in drawn}) > 4
    assert all(np.array_equal(sheet, sheets(drawing, (7, number))) for number, sheet in enumerate(drawn))
    parts = [_rows_and_columns_between_ink(sheet) for sheet in drawn]
    assert sum(parts) > len(parts) / 2  # white lies between the two, though it may vanish at 32 pixels


def test_company_is_never_of_another_patent_nor_kept_back(data: TrainingData) -> None:
    sheets = Sheets(data, Augmentation(company=1.0))
    for drawing in data.train:
        others = sheets._others(int(drawing))
        assert set(data.labels.patents[others]) <= {data.labels.patents[drawing]}
        assert int(drawing) not in others
        assert set(others) <= set(data.train)


def _rows_and_columns_between_ink(greys: np.ndarray) -> bool:
    """Whether an empty row or column has ink on both of its sides."""
    for inked in ((greys < 224).any(axis=0), (greys < 224).any(axis=1)):
        places = np.flatnonzero(inked)
        if len(places) and not inked[places[0] : places[-1]].all():
            return True
    return False
