"""How many pass is right for every filter, although a process counts a snapshot's days once and remembers them."""

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api.search.counts import Counts, Tally
from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.scope import Scope
from linework_core.tables import Drawing, Embedding, Encoder
from tests.api.conftest import Design, load, unit

FIRST = dt.date(2015, 1, 6)
CLASSES = ("14-02", "14-03", "02-01", None)


def design(number: int, dice: random.Random) -> Design:
    """One in ten has no date of grant, one in ten drawings no vector."""
    day = None if dice.random() < 0.1 else FIRST + dt.timedelta(weeks=dice.randrange(20))
    vectors = [unit(number) if dice.random() < 0.9 else None for _ in range(dice.randrange(1, 4))]
    filed = FIRST - dt.timedelta(days=dice.randrange(400))
    views = (dice.choice(("front", None)), "rear")
    return Design(f"USD{number:07}", vectors, granted=day, filed=filed, locarno=dice.choice(CLASSES), views=views)


def scopes(snapshot: int) -> Iterator[Scope]:
    """Filters of every kind, with bounds on days of grant, between them and beyond them all."""
    bounds = [None, *(FIRST + dt.timedelta(days=days) for days in (-1, 0, 1, 7, 70, 133, 134, 4000))]
    named = [frozenset[str](), frozenset({"USD0000007"}), frozenset(f"USD{number:07}" for number in range(1, 40))]
    for after, before, basis in product(bounds, bounds, ("granted", "filed")):
        dated = Scope(snapshot, before=before, after=after, date_basis=basis)  # type: ignore[arg-type]
        for without in named:
            yield replace(dated, without=without)
            yield replace(dated, without=without, locarno=("14",), view=("front",))
            yield replace(dated, without=without, within=named[2])


def counted(session: Session, encoder: Encoder, scope: Scope, *, patents: bool) -> Counts:
    """The same, each time anew from the rows, by another way to SQL."""
    what = func.count(Embedding.patent_id.distinct()) if patents else func.count()
    indexed: list[Any] = [Embedding.encoder == encoder.number, *scope.passing(Embedding)]
    eligible = session.scalar(select(what).select_from(Embedding).where(*indexed)) or 0
    vectors = session.scalar(select(func.count()).select_from(Embedding).where(*indexed)) or 0
    drawings = session.scalar(select(func.count()).select_from(Drawing).where(*scope.passing(Drawing))) or 0
    undated = 0
    if scope.before or scope.after:
        rest = replace(scope, before=None, after=None)
        without_date: list[Any] = [scope.date(Drawing).is_(None), *rest.passing(Drawing)]
        undated = session.scalar(select(func.count()).select_from(Drawing).where(*without_date)) or 0
    return Counts(eligible, drawings - vectors, undated)


@pytest.fixture
def corpus(session: Session, encoder: Encoder) -> int:
    """Two hundred designs, of which some were withdrawn later; the snapshot before that."""
    dice = random.Random(0)
    before = load(session, encoder, [design(number, dice) for number in range(1, 200)])
    for number in range(5, 50, 5):
        patent = open_patent(session, f"USD{number:07}")
        assert patent is not None
        close_patent(session, patent, next_snapshot(session))
    session.commit()
    return before


@pytest.mark.parametrize("patents", [False, True])
def test_counts_are_right_for_every_filter_and_at_every_snapshot(
    session: Session, encoder: Encoder, corpus: int, patents: bool
) -> None:
    tally, later = Tally(), load(session, encoder, [design(300, random.Random(1))])
    for snapshot in (corpus, later, 0):
        for scope in random.Random(snapshot).sample([*scopes(snapshot)], 100):
            expected = counted(session, encoder, scope, patents=patents)
            assert tally.count(session, encoder, scope, patents=patents) == expected, scope


def test_a_tally_that_has_forgotten_counts_again(session: Session, encoder: Encoder, corpus: int) -> None:
    tally = Tally(remembered=1)
    for scope in [*scopes(corpus)][:30] * 3:
        assert tally.count(session, encoder, scope) == counted(session, encoder, scope, patents=False), scope


def test_another_date_and_another_patent_left_out_are_counted_without_reading_all_rows(
    session: Session, encoder: Encoder, corpus: int
) -> None:
    tally, scope = Tally(), Scope(corpus, before=FIRST + dt.timedelta(days=30))
    for _ in range(2):
        tally.count(session, encoder, scope)
    with statements() as sent:
        tally.count(session, encoder, replace(scope, before=FIRST, without=frozenset({"USD0000007"})))
        assert not any("GROUP BY granted" in statement for statement in sent)
        for _ in range(2):  # what nobody else asks for is counted alone
            tally.count(session, encoder, replace(scope, view=("front",)))
        assert any("GROUP BY granted" in statement for statement in sent)


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to Postgres within, however it is sent."""
    sent, execute = [], psycopg.Cursor.execute

    def noted(self: Any, query: Any, *rest: Any, **options: Any) -> Any:
        sent.append(str(query))
        return execute(self, query, *rest, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", noted)
        yield sent
