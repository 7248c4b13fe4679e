"""Alembic's environment: one connection, one transaction, one migration at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from linework_core.tables import Base

ONE_AT_A_TIME = 7_117_001  # advisory lock: services that start together migrate one after the other


def run() -> None:
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ONE_AT_A_TIME})
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()


run()
