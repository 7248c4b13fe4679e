"""A Postgres tuned as the local stack tunes it, and a corpus in it through the project's own schema."""

import datetime as dt
import hashlib
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg.types import TypeInfo
from sqlalchemy import make_url

from benchmarks.search.corpus import Corpus, class_name, week_of
from linework_core import db, encoders
from linework_core.manifest import EncoderManifest
from linework_core.tables import Encoder
from linework_local.machine import Machine
from linework_local.postgres import Postgres

_COLUMNS = (
    "encoder, drawing_row, drawing_id, derivative, vector, patent_id, office, granted, filed, priority, locarno,"
    " view, added_in"
)
_TYPES = ["int2", "int8", "text", "text", "halfvec", "text", "text", "date", "date", "date", "text", "text", "int8"]
_VIEWS = ("front", "rear", "left", "right", "top", "bottom", "perspective")


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of a migrated database, on a server that keeps its data in `folder`."""
    postgres = Postgres(data=folder / "pg", sockets=folder / "s")
    postgres.prepare(Machine.here())
    with (folder / "postgres.log").open("ab") as log:
        process = subprocess.Popen(postgres.command(), stdout=log, stderr=log, cwd="/")
    try:
        postgres.wait_until_ready()
        postgres.create_database()
        command.upgrade(db.alembic_config(postgres.url()), "head")
        yield postgres.url()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def connect(url: str) -> psycopg.Connection:
    """A bare connection; SQLAlchemy's URLs name the driver, libpq's do not."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def register(url: str, name: str, dimension: int) -> Encoder:
    """An encoder with its leaf, or the one of that name; its index is made active by the first."""
    manifest = EncoderManifest(
        id=name, name=name, spec=f"debug:{dimension}", content_hash=hashlib.sha256(name.encode()).hexdigest(),
        dimension=dimension, has_text=False,
    )  # fmt: skip
    with db.transaction(db.make_engine(url)) as session:
        return encoders.ensure_active(session, manifest)


def copy(url: str, encoder: Encoder, corpus: Corpus) -> None:
    """Write the corpus into the encoder's leaf, all filter columns filled in; row i is drawing_row i + 1."""
    leaf = encoders.partition(encoder)
    with connect(url) as connection:
        write(connection, encoder, (row_of(encoder, corpus, at, at + 1, 1) for at in range(len(corpus))))
        connection.execute("UPDATE corpus SET snapshot = 1")
        connection.execute(f"VACUUM (ANALYZE, FREEZE) {leaf}")


def write(connection: psycopg.Connection, encoder: Encoder, rows: Iterable[tuple[object, ...]]) -> None:
    """COPY rows, as `row_of` makes them, into the encoder's leaf."""
    register_vector(connection)
    connection.adapters.types.add(_halfvec(connection))
    into = f"COPY {encoders.partition(encoder)} ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(into) as writer:
        writer.set_types(_TYPES)
        for row in rows:
            writer.write_row(row)


def _halfvec(connection: psycopg.Connection) -> TypeInfo:
    info = TypeInfo.fetch(connection, "halfvec")
    assert info is not None
    return info


def row_of(encoder: Encoder, corpus: Corpus, at: int, drawing_row: int, added_in: int) -> tuple[object, ...]:
    """One of the corpus' rows, with all filter columns."""
    granted = week_of(corpus.week[at])
    filed = granted - dt.timedelta(days=200 + int(corpus.design[at]) % 500)
    patent = f"USD{corpus.design[at] + 1:07d}"
    drawing = f"{patent}-{granted:%Y%m%d}-D{at % 7 + 2:05d}_{at % 7 + 1}"
    vector = HalfVector(corpus.vectors[at])
    return (
        encoder.number, drawing_row, drawing, f"{drawing_row - 1:064x}", vector, patent, "US", granted, filed, filed,
        class_name(corpus.classes[at]), _VIEWS[at % 7], added_in,
    )  # fmt: skip
