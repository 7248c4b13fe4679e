"""Alembic's environment: one connection, one transaction, one migration at a time."""

import re

from alembic import context
from sqlalchemy import create_engine, pool, text

from linework_core.db import wait_for_server
from linework_core.tables import Base

ONE_AT_A_TIME = 7_117_001  # advisory lock: services that start together migrate one after the other


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    """Leaves of embeddings are made with their encoders, not by migrations."""
    return not (kind == "table" and name is not None and re.fullmatch(r"embeddings_\d+", name))


def run() -> None:
    url = context.config.attributes["url"]
    wait_for_server(url)
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ONE_AT_A_TIME})
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata, include_name=_is_ours)
        with context.begin_transaction():
            context.run_migrations()


run()
