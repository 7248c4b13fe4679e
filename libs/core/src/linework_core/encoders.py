"""Encoders and their indexes: registration, the states of an index, coverage (design, rule 6)."""

from dataclasses import dataclass, fields

from sqlalchemy import exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from linework_core.errors import Conflict, NotFound, Unavailable
from linework_core.manifest import EncoderManifest
from linework_core.tables import Corpus, Description, DescriptionVector, Drawing, Embedding, Encoder, VectorIndex


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

    Registering the same content twice gives the same row, whoever was first.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(7117002)"))
    known = session.scalars(select(Encoder).where(Encoder.content_hash == manifest.content_hash)).one_or_none()
    if known is not None:
        return known
    values = manifest.model_dump(exclude={"id"}) | {"encoder_id": manifest.id}
    encoder = session.scalars(insert(Encoder).values(**values).returning(Encoder)).one()
    _make_partition(session, encoder)
    session.add(VectorIndex(encoder=encoder.number))
    session.flush()
    return encoder


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


def active(session: Session) -> Encoder:
    """The encoder whose index answers searches. Raises Unavailable while there is none."""
    joined = select(Encoder).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    encoder = session.scalars(joined.where(VectorIndex.state == "active")).one_or_none()
    if encoder is None:
        raise Unavailable("No index is active yet.", retry_after=5)
    return encoder


def current(session: Session) -> list[Encoder]:
    """Encoders whose indexes ingest keeps up to date: the active, the ready and those being built, and the
    one retired last, so that a rollback loses nothing.
    """
    states = select(Encoder).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    kept = session.scalars(states.where(VectorIndex.state != "retired").order_by(Encoder.number)).all()
    retired = states.where(VectorIndex.state == "retired").order_by(VectorIndex.retired_at.desc()).limit(1)
    return [*kept, *session.scalars(retired)]


def coverage(session: Session, encoder: Encoder) -> Coverage:
    """Counts over the corpus as it is now."""
    drawings = session.scalar(select(func.count()).select_from(Drawing).where(Drawing.removed_in.is_(None)))
    indexed = session.scalar(
        select(func.count())
        .select_from(Embedding)
        .where(Embedding.encoder == encoder.number, Embedding.removed_in.is_(None))
    )
    return Coverage(drawings or 0, indexed or 0)


def note_if_complete(session: Session, encoder: Encoder) -> bool:
    """Write down at which snapshot no open drawing lacks a vector, and return whether that is now.

    From then on a search need not count what is unindexed, until drawings are added. Nobody can add any between
    the look and the commit: the corpus is locked.
    """
    index = session.get_one(VectorIndex, encoder.number)
    newest = session.scalar(select(func.max(Drawing.added_in))) or 0
    if index.complete_at is not None and index.complete_at >= newest:
        return True
    snapshot = session.scalars(select(Corpus.snapshot).with_for_update()).one()
    embedded = exists().where(Embedding.encoder == encoder.number, Embedding.drawing_row == Drawing.row_id)
    if session.scalar(select(exists().where(Drawing.removed_in.is_(None), ~embedded))):
        return False
    index.complete_at = snapshot
    return True


def note_if_described(session: Session, encoder: Encoder) -> bool:
    """The same for descriptions: at which snapshot none lacked its vector. An encoder without texts lacks none."""
    if not encoder.has_text:
        return True
    index = session.get_one(VectorIndex, encoder.number)
    newest = session.scalar(select(func.max(Description.added_in))) or 0
    if index.described_at is not None and index.described_at >= newest:
        return True
    snapshot = session.scalars(select(Corpus.snapshot).with_for_update()).one()
    of_this = (DescriptionVector.encoder == encoder.number, DescriptionVector.drawing_row == Description.drawing_row)
    embedded = exists().where(*of_this, DescriptionVector.description == Description.id)
    if session.scalar(select(exists().where(Description.removed_in.is_(None), ~embedded))):
        return False
    index.described_at = snapshot
    return True


def mark_ready(session: Session, encoder: Encoder) -> None:
    """From 'building' to 'ready', once nothing is missing; other states stay."""
    statement = update(VectorIndex).where(VectorIndex.encoder == encoder.number, VectorIndex.state == "building")
    session.execute(statement.values(state="ready"))


def activate(session: Session, encoder: Encoder) -> VectorIndex:
    """Let this encoder's index answer searches from now on, in this transaction.

    Raises Conflict when it covers fewer drawings than the index that it would replace.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(7117002)"))
    index = session.get_one(VectorIndex, encoder.number)
    if index.state == "active":
        return index
    before = session.scalars(select(VectorIndex).where(VectorIndex.state == "active")).one_or_none()
    if before is not None:
        old, new = coverage(session, session.get_one(Encoder, before.encoder)), coverage(session, encoder)
        if new.indexed < old.indexed:
            raise Conflict(
                f"The index holds {new.indexed} drawings, the active one {old.indexed}. Embed the rest first.",
                indexed=new.indexed,
                active_indexed=old.indexed,
            )
        before.state, before.retired_at = "retired", func.now()
        session.flush()  # the unique index allows one active row at any moment
    index.state, index.activated_at, index.retired_at = "active", func.now(), None
    session.flush()
    return index


def ensure_active(session: Session, manifest: EncoderManifest) -> Encoder:
    """Register the encoder, and activate its index if no index is active yet (first start)."""
    encoder = register(session, manifest)
    if session.scalars(select(VectorIndex).where(VectorIndex.state == "active")).first() is None:
        activate(session, encoder)
    return encoder
