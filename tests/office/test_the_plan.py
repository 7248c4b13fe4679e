"""What the imaginary office grants, before anything is drawn."""

from datetime import date
from itertools import pairwise

import pytest

from linework_office import Design, plan

SEEDS = [1, 7, 2024]


@pytest.fixture(params=SEEDS)
def corpus(request: pytest.FixtureRequest) -> list[Design]:
    return plan(60, seed=request.param)


def test_sixty_designs_span_at_least_twelve_locarno_classes(corpus: list[Design]) -> None:
    assert len(corpus) == 60
    assert len({design.locarno[:2] for design in corpus}) >= 12


def test_grants_fall_on_tuesdays_and_span_fifteen_years(corpus: list[Design]) -> None:
    assert all(design.granted.weekday() == 1 for design in corpus)
    assert (max(d.granted for d in corpus) - min(d.granted for d in corpus)).days >= 15 * 365 - 7


def test_numbers_grow_with_the_date_of_grant(corpus: list[Design]) -> None:
    for earlier, later in pairwise(corpus):
        assert earlier.number < later.number
        assert earlier.granted <= later.granted


def test_an_application_is_filed_before_it_is_granted(corpus: list[Design]) -> None:
    assert all(200 < (design.granted - design.filed).days < 1200 for design in corpus)


def test_a_design_has_four_to_seven_views_and_some_share_a_sheet(corpus: list[Design]) -> None:
    assert {len(design.views) for design in corpus} <= {4, 5, 6, 7}
    assert all(sum(design.sheets) == len(design.views) for design in corpus)
    composite = sum(len(design.sheets) < len(design.views) for design in corpus)
    assert 5 <= composite <= 25


def test_citations_only_point_back_in_time(corpus: list[Design]) -> None:
    granted = {f"D{design.number}": design.granted for design in corpus}
    inside = 0
    for design in corpus:
        for cited in design.citations:
            if cited.date:
                assert cited.date[:6] <= f"{design.granted:%Y%m}"
            if cited.number in granted:
                inside += 1
                assert granted[cited.number] < design.granted
    assert inside >= 20


def test_citation_dates_mostly_end_in_day_00(corpus: list[Design]) -> None:
    dates = [cited.date for design in corpus for cited in design.citations if cited.date]
    assert sum(printed.endswith("00") for printed in dates) > 0.9 * len(dates)


def test_a_child_is_filed_while_its_parent_is_pending_and_shares_its_lineage(corpus: list[Design]) -> None:
    by_number = {design.number: design for design in corpus}
    children = [design for design in corpus if design.parents]
    assert children
    for child in children:
        parent = by_number[child.parents[0].number]
        assert parent.filed < child.filed < parent.granted < child.granted
        assert (parent.family, parent.seed) == (child.family, child.seed)
        assert parent.variant != child.variant


def test_foreign_priority_lies_within_six_months_before_the_filing(corpus: list[Design]) -> None:
    claimed = [(design.filed - p.filed).days for design in corpus for p in design.priorities]
    assert claimed
    assert all(0 < days <= 183 for days in claimed)


def test_some_designs_came_as_international_registrations(corpus: list[Design]) -> None:
    hague = [design for design in corpus if design.hague]
    assert hague
    assert all(design.labels[0] == "1.1" and design.application.startswith("35") for design in hague)


def test_the_newest_design_is_of_a_kind_granted_before(corpus: list[Design]) -> None:
    assert corpus[-1].family in {design.family for design in corpus[:-1]}


def test_a_period_can_be_given(tmp_path: object) -> None:
    designs = plan(5, since=date(2019, 1, 1), until=date(2019, 2, 1))
    assert {design.granted.year for design in designs} == {2019}
    with pytest.raises(ValueError, match="no Tuesday"):
        plan(5, since=date(2019, 1, 2), until=date(2019, 1, 4))
