from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linework_api.sheets.accounts import Labels, settle


def test_labels_that_agree_with_the_text_are_believed() -> None:
    settled = settle({1: ("1",), 2: ("3", "2"), 3: ("4",)}, ("1", "2", "3", "4"))
    assert [account.figures for account in settled.values()] == [("1",), ("3", "2"), ("4",)]
    assert all(account.certain for account in settled.values())


def test_a_sheet_without_a_label_has_the_one_figure_that_is_left() -> None:
    settled = settle({1: ("1",), 2: (), 3: ("3", "4")}, ("1", "2", "3", "4"))
    assert (settled[2].certain, settled[2].figures) == (True, ("2",))


def test_sheets_without_any_label_are_counted_as_before() -> None:
    settled = settle({1: (), 2: (), 3: ()}, ("1", "2", "3"))
    assert [account.figures for account in settled.values()] == [("1",), ("2",), ("3",)]


def test_with_more_figures_than_labels_and_sheets_nobody_guesses() -> None:
    settled = settle({1: (), 2: ("4",)}, ("1", "2", "3", "4"))
    assert (settled[1].certain, settled[1].figures, settled[1].reason) == (False, (None,), "no-label")


def test_a_figure_whose_label_was_overlooked_makes_its_neighbours_uncertain() -> None:
    settled = settle({1: ("1",), 2: ("3",), 3: ("4",)}, ("1", "2", "3", "4"))
    assert [account.certain for account in settled.values()] == [False, False, True]
    assert settled[1].reason == "not-accounted-for"


def test_the_only_label_that_was_not_read_is_that_of_the_only_figure_left() -> None:
    settled = settle({1: ("1",), 2: (None, "3")}, ("1", "2", "3"))
    assert settled[2].figures == ("2", "3")


def test_one_number_on_two_sheets_is_believed_on_neither() -> None:
    settled = settle({1: ("1",), 2: ("2",), 3: ("2", "3")}, ("1", "2", "3"))
    assert [settled[sheet].reason for sheet in (2, 3)] == ["label-repeated", "label-repeated"]


def test_a_patent_without_figures_in_its_text_links_nothing() -> None:
    assert settle({1: ("1",), 2: ()}, ())[2].figures == (None,)


FATES = st.lists(st.lists(st.sampled_from(["read", "found", "overlooked"]), min_size=1, max_size=4), max_size=6)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FATES)
def test_whatever_labels_are_overlooked_or_not_read_no_drawing_gets_a_wrong_figure(fates: list[list[str]]) -> None:
    figures = [str(number + 1) for number in range(sum(map(len, fates)))]
    rest = iter(figures)
    truth = [[next(rest) for _ in labels] for labels in fates]
    seen: dict[int, Labels] = {
        sheet: tuple(
            number if fate == "read" else None
            for number, fate in zip(numbers, labels, strict=True)
            if fate != "overlooked"
        )
        for sheet, (numbers, labels) in enumerate(zip(truth, fates, strict=True))
    }
    for sheet, account in settle(seen, figures).items():
        assert {number for number in account.figures if number is not None} <= set(truth[sheet])
        if account.certain:
            assert len(account.figures) == len(truth[sheet])
            assert all(a in (b, None) for a, b in zip(account.figures, truth[sheet], strict=True))
