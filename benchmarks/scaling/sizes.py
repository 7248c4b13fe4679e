"""Bytes for each drawing: in Postgres, and in the object store."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
from structlog.testing import capture_logs

from benchmarks.scaling import servers
from benchmarks.search import postgres
from benchmarks.search.corpus import Corpus
from linework_core import db, encoders, vector_index
from linework_office import publish

DESIGNS = 300
ROWS = ("patents", "sheets", "figures", "citations", "drawings")
_RELATIONS = """
    SELECT c.relname, c.relkind, pg_table_size(c.oid) AS bytes, coalesce(am.amname, '')
    FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam AND c.relkind = 'i'
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.oid = cast(%(table)s AS regclass) OR i.indrelid = cast(%(table)s AS regclass) ORDER BY bytes DESC"""


def measure(folder: Path, corpus: Corpus) -> dict[str, Any]:
    """The vectors of `corpus` with all indexes that the project makes, as bytes and as bytes a drawing."""
    one = servers.server(folder, "one")
    with servers.running(one) as url:
        servers.migrate(one)
        encoder = postgres.register(url, "sizes", corpus.vectors.shape[1])
        started = time.monotonic()
        postgres.copy(url, encoder, corpus)
        copied = time.monotonic() - started
        with capture_logs() as events:
            vector_index.build(db.make_engine(url), encoder)
        with postgres.connect(url) as connection:
            leaf = relations(connection, encoders.partition(encoder))
            _ingest(url, folder)
            told = {table: sum(relations(connection, table).values()) for table in ROWS}
            drawings = connection.execute("SELECT count(*) FROM drawings").fetchone()
    built = {event["index"]: event["seconds"] for event in events if event["event"] == "index_built"}
    return {
        "rows": len(corpus), "dimension": corpus.vectors.shape[1], "copy_s": round(copied, 1), "index_s": built,
        "relations": leaf, "bytes_a_row": round(sum(leaf.values()) / len(corpus)),
        "ingested_drawings": drawings[0] if drawings else 0, "corpus": told,
    }  # fmt: skip


def _ingest(url: str, folder: Path) -> None:
    """What the sample office publishes, by the project's own command; small pictures, for only rows are looked at."""
    publish(folder / "packages", designs=DESIGNS, seed=1, size=0.1)
    environment = os.environ | {"DATABASE_URL": url, "OBJECT_STORE_URL": (folder / "objects").as_uri()}
    ingest = [sys.executable, "-m", "linework_api.ingest", str(folder / "packages")]
    subprocess.run(ingest, env=environment, check=True, stdout=subprocess.DEVNULL)


def relations(connection: psycopg.Connection, table: str) -> dict[str, int]:
    """Bytes of a table and of its indexes, by name, the largest first."""
    return {row[0]: int(row[2]) for row in connection.execute(_RELATIONS, {"table": table})}
