"""The corpus as versions: snapshots, what a reader sees of them, and how a version is closed."""

from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, text, update
from sqlalchemy.orm import Session

from linework_core.tables import Corpus, Description, DescriptionVector, Drawing, Embedding, Patent


def current_snapshot(session: Session) -> int:
    """The number of the last committed change."""
    return session.scalars(select(Corpus.snapshot)).one()


def lock(session: Session) -> None:
    """Let one transaction at a time change the corpus, so that two ingests act one after the other."""
    session.execute(select(Corpus.snapshot).with_for_update())


def next_snapshot(session: Session) -> int:
    """The number of the change that this transaction makes.

    The row's lock is held until the commit, so numbers grow in commit order and a reader who sees n sees
    all of n. Call it last before the writes that carry it: other changes wait meanwhile.
    """
    statement = update(Corpus).values(snapshot=Corpus.snapshot + 1).returning(Corpus.snapshot)
    return session.scalars(statement).one()


def visible(table: Any, snapshot: int) -> ColumnElement[bool]:
    """The rows of a versioned table that are true at `snapshot`."""
    return and_(table.added_in <= snapshot, or_(table.removed_in.is_(None), table.removed_in > snapshot))


def open_patent(session: Session, patent_id: str) -> Patent | None:
    """The version that is true now, or None."""
    wanted = select(Patent).where(Patent.patent_id == patent_id, Patent.removed_in.is_(None))
    return session.scalars(wanted).one_or_none()


def close_patent(session: Session, patent: Patent, snapshot: int) -> None:
    """End a version with its drawings, vectors and descriptions; nothing is deleted: older snapshots stay readable."""
    patent.removed_in = snapshot
    rows = select(Drawing.row_id).where(Drawing.patent_row == patent.row_id).scalar_subquery()
    closed: tuple[tuple[Any, Any], ...] = (
        (Embedding, Embedding.drawing_row),
        (Description, Description.drawing_row),
        (DescriptionVector, DescriptionVector.drawing_row),
        (Drawing, Drawing.row_id),
    )
    for table, key in closed:
        statement = update(table).where(key.in_(rows), table.removed_in.is_(None)).values(removed_in=snapshot)
        session.execute(statement, execution_options={"synchronize_session": False})


def carry_vectors_over(session: Session, old: Patent, new: Patent, snapshot: int) -> int:
    """Give the new version's drawings the vectors of the same derivatives, and return how many.

    A corrected title must not make a drawing unfindable until it is embedded again.
    """
    statement = text("""
        INSERT INTO embeddings (encoder, drawing_row, drawing_id, derivative, vector, patent_id, office, granted,
                                filed, priority, locarno, view, added_in)
        SELECT DISTINCT ON (e.encoder, d.row_id) e.encoder, d.row_id, d.drawing_id, d.derivative, e.vector,
               d.patent_id, d.office, d.granted, d.filed, d.priority, d.locarno, d.view, :snapshot
        FROM drawings d
        JOIN drawings was ON was.patent_row = :old AND was.derivative = d.derivative
        JOIN embeddings e ON e.drawing_row = was.row_id
        JOIN indexes i ON i.encoder = e.encoder AND i.removed_at IS NULL
        WHERE d.patent_row = :new
        ON CONFLICT DO NOTHING""")
    result = session.execute(statement, {"old": old.row_id, "new": new.row_id, "snapshot": snapshot})
    return int(result.rowcount)  # type: ignore[attr-defined]


def carry_descriptions_over(session: Session, withdrawn: Patent, new: Patent, snapshot: int) -> None:
    """Give a restored patent's drawings the descriptions that they had when it was withdrawn, with their vectors."""
    values = {"old": withdrawn.row_id, "new": new.row_id, "closed": withdrawn.removed_in, "snapshot": snapshot}
    for statement in (_CARRY_DESCRIPTIONS, _CARRY_DESCRIPTION_VECTORS):
        session.execute(text(statement), values)


_SAME_DRAWING = "drawings was JOIN drawings d ON d.patent_row = :new AND d.drawing_id = was.drawing_id"
_OF_A_SET = tuple(
    column.key
    for column in Description.__table__.columns
    if column.key not in ("id", "drawing_row", "added_in", "removed_in")
)
_CARRY_DESCRIPTIONS = f"""
    INSERT INTO descriptions (drawing_row, added_in, {", ".join(_OF_A_SET)})
    SELECT d.row_id, :snapshot, {", ".join(f"s.{column}" for column in _OF_A_SET)}
    FROM {_SAME_DRAWING} JOIN descriptions s ON s.drawing_row = was.row_id AND s.removed_in = :closed
    WHERE was.patent_row = :old"""
_CARRY_DESCRIPTION_VECTORS = f"""
    INSERT INTO description_vectors (encoder, drawing_row, description, vector, added_in)
    SELECT v.encoder, d.row_id, fresh.id, v.vector, :snapshot
    FROM {_SAME_DRAWING}
    JOIN description_vectors v ON v.drawing_row = was.row_id AND v.removed_in = :closed
    JOIN descriptions s ON s.id = v.description
    JOIN descriptions fresh ON fresh.drawing_row = d.row_id AND fresh.recipe = s.recipe AND fresh.facts = s.facts
    WHERE was.patent_row = :old"""
