"""What each protocol asks for: who is ranked for whom, and what counts as relevant."""

import numpy as np
import pytest

from linework_trainer.evaluation import protocols
from linework_trainer.evaluation.metrics import judge
from linework_trainer.evaluation.protocols import Names, Trial
from linework_trainer.evaluation.ranking import NONE
from linework_trainer.evaluation.repository import UNDATED, Drawings

PATENTS = ["A", "A", "B", "B", "C", "D"]
CLASSES = ["14-02", "14-02", "14-02", "14-02", "06-01", None]
DAYS = [10, 10, 20, 20, 30, UNDATED]
EVERYTHING = np.arange(6)


@pytest.fixture
def drawings() -> Drawings:
    vectors = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    names = [f"{patent}_{number}" for number, patent in enumerate(PATENTS)]
    return Drawings(list(range(100, 106)), names, PATENTS, CLASSES, names, np.array(DAYS, dtype=np.int64), vectors)


@pytest.fixture
def classes() -> np.ndarray:
    return Names()(CLASSES)


def encode(texts: object) -> np.ndarray:
    return np.ones((len(texts), 4), dtype=np.float32)  # type: ignore[arg-type]


def counts(trial: Trial) -> list[tuple[int, int]]:
    """How many items are ranked for each query, and how many of them are relevant."""
    judged = judge(trial.task)
    return list(zip(judged.eligible.tolist(), judged.relevant.tolist(), strict=True))


def test_same_patent_ranks_all_but_the_query_and_wants_its_patents_other_drawings(drawings, classes) -> None:
    assert counts(protocols.same_patent(drawings, EVERYTHING, classes)) == [(5, 1)] * 4 + [(5, 0)] * 2


def test_class_temporal_ranks_what_is_older_and_wants_the_same_subclass(drawings, classes) -> None:
    trial = protocols.class_temporal(drawings, np.arange(5), classes)
    assert counts(trial) == [(0, 0), (0, 0), (2, 2), (2, 2), (4, 0)]


def test_a_drawing_without_a_date_is_never_ranked_by_date(drawings, classes) -> None:
    later = np.array([10, 10, 20, 20, 30, UNDATED])
    trial = protocols.class_temporal(drawings, np.array([4]), classes)
    assert (trial.task.dates == later).all()
    assert counts(trial) == [(4, 0)]


def test_citation_temporal_wants_the_drawings_of_what_was_cited_and_is_older(drawings, classes) -> None:
    cited = [("C", "A"), ("C", "D"), ("C", "nowhere"), ("B", "C"), ("B", "A")]
    trial = protocols.citation_temporal(drawings, np.arange(5), classes, cited)
    assert counts(trial) == [(0, 0), (0, 0), (2, 2), (2, 2), (4, 2)]


def test_titles_that_are_the_same_but_for_case_and_blanks_are_one_text(drawings, classes) -> None:
    texts = protocols.from_titles(drawings, {"A": "Chair", "B": " chair ", "C": "Lamp"})
    assert texts.texts == ["Chair", "Lamp"]
    assert texts.askable.tolist() == [True] * 5 + [False]
    asking = protocols.text_to_drawing(drawings, np.arange(2), classes, texts, encode)
    assert counts(asking) == [(6, 4), (6, 1)]
    back = protocols.drawing_to_text(drawings, np.flatnonzero(texts.askable), classes, texts, encode)
    assert counts(back) == [(2, 1)] * 5


def test_descriptions_tell_of_their_patents_drawings_and_are_drawn_by_the_seed(drawings, classes) -> None:
    described = [
        (100, ["a", "b", "c", "d"]),
        (102, ["e", "f"]),
        (103, ["g"]),
        (104, []),
        (999, ["of another snapshot"]),
    ]
    texts = protocols.from_descriptions(drawings, described, np.random.default_rng(4))
    again = protocols.from_descriptions(drawings, described, np.random.default_rng(4))
    assert texts.texts == again.texts
    assert texts.texts[0] in "abcd"
    assert texts.written_for.tolist() == [0, 2, 3]
    assert texts.askable.tolist() == [True, True, True, True, False, False]
    assert counts(protocols.text_to_drawing(drawings, np.arange(3), classes, texts, encode)) == [(6, 2)] * 3
    back = protocols.drawing_to_text(drawings, np.arange(4), classes, texts, encode)
    assert counts(back) == [(3, 1), (3, 1), (3, 2), (3, 2)]


def test_queries_are_drawn_by_the_seed_and_all_are_taken_where_there_are_no_more() -> None:
    candidates = np.array([True, False, True, True, True])
    assert protocols.choose(candidates, None, np.random.default_rng(0)).tolist() == [0, 2, 3, 4]
    assert protocols.choose(candidates, 9, np.random.default_rng(0)).tolist() == [0, 2, 3, 4]
    some = protocols.choose(candidates, 2, np.random.default_rng(0))
    assert some.tolist() == protocols.choose(candidates, 2, np.random.default_rng(0)).tolist()
    assert set(some) <= {0, 2, 3, 4}


def test_queries_may_be_bounded_by_date_and_the_undated_are_within_no_bounds() -> None:
    days = np.array(DAYS)
    assert protocols.within(days, 20, 30).tolist() == [False, False, True, True, False, False]
    assert protocols.within(days, 20, None).tolist() == [False, False, True, True, True, False]
    assert protocols.within(days, None, None).all()


def test_what_has_no_name_has_no_number() -> None:
    names = Names()
    assert names(["x", None, "y", "x"]).tolist() == [0, NONE, 1, 0]
    assert names.all() == ["x", "y"]
    assert names.known(["y", "z"]) == [1]
