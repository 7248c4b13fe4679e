"""Encoders and their indexes: registration, the states of an index, coverage (design, rule 6)."""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_core import completeness
from linework_core.errors import Conflict, Gone, NotFound, Unavailable
from linework_core.manifest import EncoderManifest
from linework_core.tables import DescriptionVector, Drawing, Embedding, EmbedFailure, Encoder, VectorIndex

CLEARING = 7117003  # with an encoder's number: the lock of whoever builds or clears away its indexes


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many open drawings there are, and how many of them an index holds."""

    drawings: int
    indexed: int


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """What a search needs of an encoder. A process may keep it: unlike a row, it belongs to no session."""

    number: int
    encoder_id: str
    name: str
    dimension: int
    has_text: bool


def facts(session: Session, number: int) -> EncoderFacts:
    """Raises NoResultFound where no encoder has this number."""
    columns = (getattr(Encoder, field.name) for field in fields(EncoderFacts))
    return EncoderFacts(*session.execute(select(*columns).where(Encoder.number == number)).one())


def register(session: Session, manifest: EncoderManifest) -> Encoder:
    """The encoder's row, made with its partition and an index in state 'building' where it is new.

    Registering the same content twice gives the same row, whoever was first. One that was removed gets an index again.
    Raises Conflict in the moment in which its old vectors are being cleared away.
    """
    lock(session)
    known = session.scalars(select(Encoder).where(Encoder.content_hash == manifest.content_hash)).one_or_none()
    if known is not None:
        _revive(session, known)
        return known
    values = manifest.model_dump(exclude={"id"}) | {"encoder_id": manifest.id}
    encoder = session.scalars(insert(Encoder).values(**values).returning(Encoder)).one()
    _make_partition(session, encoder)
    session.add(VectorIndex(encoder=encoder.number))
    session.flush()
    return encoder


def _revive(session: Session, encoder: Encoder) -> None:
    """An index for a known encoder that was removed; and one that was paused goes on.

    Vectors that are not cleared away yet are taken back, though no search of before is replayed with them.
    """
    index = session.get_one(VectorIndex, encoder.number, populate_existing=True)
    if index.removed_at is not None:
        mine = session.scalar(select(func.pg_try_advisory_xact_lock(CLEARING, encoder.number)))
        there, attached = session.execute(text(_LEAF), {"leaf": partition(encoder)}).one()
        if not mine or (there and not attached):
            raise Conflict("This encoder's old vectors are being cleared away; ask again in a minute.")
        if not there:
            _make_partition(session, encoder)
        index.state, index.removed_at, index.retired_at = "building", None, None
    index.paused_at = None
    session.flush()


# Whether an encoder's table is there, and whether searches see it: clearing away begins by detaching it
_LEAF = """SELECT to_regclass(:leaf) IS NOT NULL,
    EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(:leaf) AND NOT inhdetachpending)"""


def lock(session: Session) -> None:
    """Until the commit nobody else registers, activates or removes an encoder."""
    session.execute(text("SELECT pg_advisory_xact_lock(7117002)"))


def _make_partition(session: Session, encoder: Encoder) -> None:
    """A leaf for one encoder. It is made apart and then attached, since PARTITION OF locks out all readers."""
    number, leaf = int(encoder.number), partition(encoder)
    for statement in (
        f"CREATE TABLE {leaf} (LIKE embeddings INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,"
        f" PRIMARY KEY (encoder, drawing_row),"
        f" CHECK (encoder = {number}), CHECK (vector_dims(vector) = {int(encoder.dimension)}))",
        f"CREATE INDEX ON {leaf} (granted)",
        f"CREATE INDEX ON {leaf} (derivative)",
        f"CREATE INDEX ON {leaf} (drawing_id)",
        f"CREATE INDEX ON {leaf} (patent_id)",
        # Searches read an index without the table only where vacuum has been, and are planned by statistics
        f"ALTER TABLE {leaf} SET (autovacuum_vacuum_insert_scale_factor = 0.02,"
        f" autovacuum_analyze_scale_factor = 0.05)",
        f"ALTER TABLE {leaf} ALTER COLUMN vector SET STATISTICS 0, ALTER COLUMN granted SET STATISTICS 1000,"
        f" ALTER COLUMN filed SET STATISTICS 1000, ALTER COLUMN priority SET STATISTICS 1000,"
        f" ALTER COLUMN locarno SET STATISTICS 1000",
        f"ALTER TABLE embeddings ATTACH PARTITION {leaf} FOR VALUES IN ({number})",
    ):
        session.execute(text(statement))


def partition(encoder: Encoder | EncoderFacts) -> str:
    """Name of the table that holds the encoder's vectors."""
    return f"embeddings_{int(encoder.number)}"


def find(session: Session, encoder_id: str) -> Encoder:
    """Raises NotFound."""
    encoder = session.scalars(select(Encoder).where(Encoder.encoder_id == encoder_id)).one_or_none()
    if encoder is None:
        raise NotFound(f"There is no encoder {encoder_id}.")
    return encoder


def find_kept(session: Session, encoder_id: str) -> Encoder:
    """An encoder that one may work with. Raises NotFound, and Gone for one that was removed."""
    encoder = find(session, encoder_id)
    if session.get_one(VectorIndex, encoder.number, populate_existing=True).removed_at is not None:
        raise _removed(encoder)
    return encoder


def check_vectors(session: Session, number: int, snapshot: int) -> None:
    """Raises Gone where the vectors that a search at this snapshot compared were removed with their encoder."""
    index = session.get_one(VectorIndex, number, populate_existing=True)
    if index.removed_at is not None or (index.emptied_in is not None and snapshot <= index.emptied_in):
        raise _removed(session.get_one(Encoder, number))


def _removed(encoder: Encoder) -> Gone:
    return Gone(f"The encoder {encoder.encoder_id} was removed, and its vectors with it.", encoder=encoder.encoder_id)


def active(session: Session) -> Encoder:
    """The encoder whose index answers searches. Raises Unavailable while there is none."""
    joined = select(Encoder).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    encoder = session.scalars(joined.where(VectorIndex.state == "active")).one_or_none()
    if encoder is None:
        raise Unavailable("No index is active yet.", retry_after=5)
    return encoder


def current(session: Session) -> list[Encoder]:
    """Encoders whose indexes ingest keeps up to date: the active, the ready and those being built, and the
    one retired last, so that a rollback loses nothing. None whose job was cancelled, until somebody asks for it.
    """
    states = select(Encoder).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    states = states.where(VectorIndex.removed_at.is_(None))
    kept = session.scalars(states.where(VectorIndex.state != "retired").order_by(Encoder.number)).all()
    retired = states.where(VectorIndex.state == "retired").order_by(VectorIndex.retired_at.desc()).limit(1)
    paused = set(session.scalars(select(VectorIndex.encoder).where(VectorIndex.paused_at.is_not(None))))
    return [encoder for encoder in [*kept, *session.scalars(retired)] if encoder.number not in paused]


def pause(session: Session, encoder_id: str) -> None:
    """Let nobody but a caller start to embed with this encoder."""
    number = select(Encoder.number).where(Encoder.encoder_id == encoder_id).scalar_subquery()
    session.execute(update(VectorIndex).where(VectorIndex.encoder == number).values(paused_at=func.now()))


def resume(session: Session, encoder: Encoder) -> None:
    """Embed with this encoder again whenever something is missing."""
    session.execute(update(VectorIndex).where(VectorIndex.encoder == encoder.number).values(paused_at=None))


def coverage(session: Session, encoder: Encoder) -> Coverage:
    """Counts over the corpus as it is now."""
    drawings = session.scalar(select(func.count()).select_from(Drawing).where(Drawing.removed_in.is_(None)))
    indexed = session.scalar(
        select(func.count())
        .select_from(Embedding)
        .where(Embedding.encoder == encoder.number, Embedding.removed_in.is_(None))
    )
    return Coverage(drawings or 0, indexed or 0)


def described(session: Session, encoder: Encoder) -> int:
    """How many open drawings have a vector of their descriptions."""
    mine = (DescriptionVector.encoder == encoder.number, DescriptionVector.removed_in.is_(None))
    return session.scalar(select(func.count()).select_from(DescriptionVector).where(*mine)) or 0


def failures(session: Session, encoder: Encoder) -> int:
    """How many open drawings were tried and have no vector."""
    tried = select(func.count()).select_from(EmbedFailure).join(Drawing, Drawing.row_id == EmbedFailure.drawing_row)
    return session.scalar(tried.where(EmbedFailure.encoder == encoder.number, Drawing.removed_in.is_(None))) or 0


def note_if_complete(session: Session, encoder: Encoder) -> bool:
    """Write down at which snapshot no open drawing lacked a vector; whether that is now (completeness.note)."""
    return completeness.note(session, encoder, completeness.DRAWINGS)


def note_if_described(session: Session, encoder: Encoder) -> bool:
    """The same for descriptions. An encoder without texts lacks none."""
    return not encoder.has_text or completeness.note(session, encoder, completeness.DESCRIPTIONS)


def mark_ready(session: Session, encoder: Encoder) -> None:
    """From 'building' to 'ready', once nothing is missing; other states stay."""
    statement = update(VectorIndex).where(VectorIndex.encoder == encoder.number, VectorIndex.state == "building")
    session.execute(statement.values(state="ready"))


def activate(session: Session, encoder: Encoder) -> VectorIndex:
    """Let this encoder's index answer searches from now on, in this transaction.

    Raises Gone, and Conflict while it is being built or covers less than the index that it would replace.
    """
    lock(session)
    index = session.get_one(VectorIndex, encoder.number, populate_existing=True)
    if index.removed_at is not None:
        raise _removed(encoder)
    if index.state == "active":
        return index
    before = session.scalars(select(VectorIndex).where(VectorIndex.state == "active")).one_or_none()
    if before is not None:
        _check_coverage(session, index, encoder, session.get_one(Encoder, before.encoder))
        before.state, before.retired_at = "retired", func.now()
        session.flush()  # the unique index allows one active row at any moment
    index.state, index.activated_at, index.retired_at = "active", func.now(), None
    session.flush()
    return index


def _check_coverage(session: Session, index: VectorIndex, encoder: Encoder, active: Encoder) -> None:
    """Raises Conflict. On the way back to an index that was active, what it tried and could not embed counts as
    covered: a rollback must not depend on one drawing that came since.
    """
    new, old = coverage(session, encoder), coverage(session, active)
    texts, active_texts = (described(session, one) if encoder.has_text else 0 for one in (encoder, active))
    spared = failures(session, encoder) if index.state == "retired" else 0
    told: dict[str, Any] = {
        "indexed": new.indexed, "active_indexed": old.indexed, "drawings": new.drawings,
        "described": texts, "active_described": active_texts, "paused": index.paused_at is not None,
    }  # fmt: skip
    hint = " It is paused: POST /embed goes on." if index.paused_at is not None else ""
    if index.state == "building":
        raise Conflict(
            f"The index is still being built: it holds {new.indexed} of {new.drawings} drawings.{hint}", **told
        )
    if new.indexed + spared < old.indexed or texts < active_texts:
        raise Conflict(
            f"The index holds {new.indexed} drawings and {texts} descriptions, the active one {old.indexed} and"
            f" {active_texts}. Embed the rest first.{hint}",
            **told,
        )


def ensure_active(session: Session, manifest: EncoderManifest) -> Encoder:
    """Register the encoder, and activate its index if no index is active yet (first start)."""
    encoder = register(session, manifest)
    if session.scalars(select(VectorIndex).where(VectorIndex.state == "active")).first() is None:
        activate(session, encoder)
    return encoder
