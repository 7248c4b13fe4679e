"""What failed is tried again after a growing pause, whatever table it is noted in."""

import datetime as dt
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from linework_core import failures
from linework_core.tables import Base, Failure


class Own(DeclarativeBase):
    type_annotation_map = Base.type_annotation_map


class Attempt(Failure, Own):
    __tablename__ = "attempts"
    who: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    detail: Mapped[str]


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    engine = create_engine(database_url)
    Own.metadata.create_all(engine)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def fail(session: Session, *what: int, who: str = "a", reason: str = "broken", detail: str = "It broke.") -> None:
    told = {"who": who, "reason": reason, "detail": detail}
    failures.record(session, Attempt, [{**told, "what": one} for one in what])
    session.expire_all()


def known(session: Session) -> list[tuple[str, int, int]]:
    rows = session.scalars(select(Attempt).order_by(Attempt.who, Attempt.what))
    return [(row.who, row.what, row.tries) for row in rows]


def test_the_pause_doubles_from_two_minutes_to_seventeen_hours(session: Session) -> None:
    pauses = []
    for _ in range(12):
        fail(session, 1)
        pauses.append(session.scalars(select(Attempt.next_try_at - func.now())).one())
    assert pauses == [dt.timedelta(minutes=2 ** min(tries, 10)) for tries in range(1, 13)]
    assert known(session) == [("a", 1, 12)]


def test_every_attempt_is_counted_for_itself(session: Session) -> None:
    fail(session, 1, 2)
    fail(session, 2, who="b")
    fail(session, 2)
    assert known(session) == [("a", 1, 1), ("a", 2, 2), ("b", 2, 1)]


def test_what_failed_twice_in_one_go_counts_twice(session: Session) -> None:
    fail(session, 1, 1)
    assert known(session) == [("a", 1, 2)]


def test_the_newest_reason_stands(session: Session) -> None:
    fail(session, 1, reason="old", detail="It was old.")
    fail(session, 1, reason="new", detail="It is new.")
    [row] = session.scalars(select(Attempt))
    assert (row.reason, row.detail) == ("new", "It is new.")


def test_texts_are_made_to_fit(session: Session) -> None:
    fail(session, 1, reason="a\0b", detail="half a pair \ud83d, " + "long " * 1000)
    [row] = session.scalars(select(Attempt))
    assert (row.reason, row.detail[:13], len(row.detail)) == ("a?b", "half a pair ?", 1000)


def test_what_succeeded_after_all_is_forgotten_and_nothing_else(session: Session) -> None:
    fail(session, 1, 2, 3)
    fail(session, 1, 2, who="b")
    failures.forget(session, Attempt, Attempt.who == "a", Attempt.what.in_([1, 2]))
    assert known(session) == [("a", 3, 1), ("b", 1, 1), ("b", 2, 1)]


def test_nothing_failed_nothing_is_written(session: Session) -> None:
    failures.record(session, Attempt, [])
    assert known(session) == []
