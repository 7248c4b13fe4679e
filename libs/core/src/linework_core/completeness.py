"""What an index lacks, asked as rarely and as lightly as can be.

An index is *complete* at a snapshot at which no open drawing lacked its vector, and *tried* at one at which each had
its vector or a noted failure; likewise for descriptions. Nothing need be compared again until something newer was
added, so one drawing that cannot be embedded costs a look at the table of failures, and holds nobody up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session

from linework_core.tables import (
    Corpus,
    Description,
    DescriptionVector,
    DescriptionVectorFailure,
    Drawing,
    Embedding,
    EmbedFailure,
    Encoder,
    VectorIndex,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two things that an index holds vectors of. `complete` and `tried` are columns of VectorIndex."""

    rows: Any
    key: Any
    embedded: Callable[[Encoder], ColumnElement[bool]]
    failures: Any
    failed: Any
    complete: str
    tried: str

    def noted(self, encoder: Encoder) -> ColumnElement[bool]:
        """A failure of the row, whether or not it may be tried again now."""
        return and_(self.failures.encoder == encoder.number, self.failed == self.key)


def _has_vector(encoder: Encoder) -> ColumnElement[bool]:
    return exists().where(Embedding.encoder == encoder.number, Embedding.drawing_row == Drawing.row_id)


def _has_text_vector(encoder: Encoder) -> ColumnElement[bool]:
    return exists().where(
        DescriptionVector.encoder == encoder.number,
        DescriptionVector.drawing_row == Description.drawing_row,
        DescriptionVector.description == Description.id,
    )


DRAWINGS = Part(Drawing, Drawing.row_id, _has_vector, EmbedFailure, EmbedFailure.drawing_row, "complete_at", "tried_at")
DESCRIPTIONS = Part(
    Description, Description.id, _has_text_vector, DescriptionVectorFailure, DescriptionVectorFailure.description,
    "described_at", "texts_tried_at",
)  # fmt: skip


def parts(encoder: Encoder) -> tuple[Part, ...]:
    """What the encoder embeds: without a text tower, drawings alone."""
    return (DRAWINGS, DESCRIPTIONS) if encoder.has_text else (DRAWINGS,)


def due(part: Part, encoder: Encoder) -> Select[int]:
    """Keys of open rows without a vector of this encoder, but for those that wait after a failure."""
    paused = exists().where(part.noted(encoder), part.failures.next_try_at > func.now())
    return select(part.key).where(part.rows.removed_in.is_(None), ~part.embedded(encoder), ~paused)


def has_work(session: Session, encoder: Encoder) -> bool:
    """Whether an embed job of this encoder would find something to do. Locks nothing."""
    return any(_has_work(session, encoder, part) for part in parts(encoder))


def _has_work(session: Session, encoder: Encoder, part: Part) -> bool:
    index = session.get_one(VectorIndex, encoder.number, populate_existing=True)
    newest = session.scalar(select(func.max(part.rows.added_in))) or 0
    if _reaches(getattr(index, part.complete), newest):
        return False
    if not _reaches(getattr(index, part.tried), newest):
        if session.scalar(select(exists(due(part, encoder)))):
            return True
    else:
        again, waiting = _failures(session, encoder, part)
        if again or waiting:
            return again
    note(session, encoder, part)
    return False


def _failures(session: Session, encoder: Encoder, part: Part) -> tuple[bool, bool]:
    """Whether there are failures of open rows that may be tried again, and whether there are any."""
    count = func.count()
    statement = select(count.filter(part.failures.next_try_at <= func.now()), count).join(
        part.rows, part.noted(encoder)
    )
    again, all_ = session.execute(statement.where(part.rows.removed_in.is_(None))).one()
    return again > 0, all_ > 0


def note(session: Session, encoder: Encoder, part: Part) -> bool:
    """Write down at which snapshot the index is complete, or tried, and return whether it is complete.

    From then on a search need not count what is unindexed, until something is added. Nobody is locked out: where
    something was added while this looked, nothing is written, and the next look comes soon enough.
    """
    index = session.get_one(VectorIndex, encoder.number, populate_existing=True)
    before = session.scalars(select(Corpus.snapshot)).one()
    noted = exists().where(part.noted(encoder))
    lacking = select(func.count(), func.count().filter(noted)).where(
        part.rows.removed_in.is_(None), ~part.embedded(encoder)
    )
    missing, failed = session.execute(lacking).one()
    # One statement sees one moment: all that was added up to `after`, and with `newest` whether that was looked at
    newest = select(func.max(part.rows.added_in)).scalar_subquery()
    after, last = session.execute(select(Corpus.snapshot, newest)).one()
    if (last or 0) > before:
        return False
    if missing == failed:
        setattr(index, part.tried, after)
    if missing == 0:
        setattr(index, part.complete, after)
    session.flush()
    return bool(missing == 0)


def _reaches(snapshot: int | None, newest: int) -> bool:
    return snapshot is not None and snapshot >= newest
