"""Engine, sessions and migrations. `python -m linework_core.db upgrade head` runs in any image."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from alembic.config import CommandLine, Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from linework_core import logs
from linework_core.once import Once
from linework_core.settings import get_settings

log = structlog.get_logger()
MIGRATIONS = Path(__file__).parent / "migrations"
# Over TCP a server that is cut off is noticed within half a minute, not after the two hours of the kernel's default
NOTICE_A_LOST_NETWORK = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def make_engine(url: str, *, pool_size: int = 10, rush: bool = True) -> Engine:
    """An engine whose dead connections are noticed before they are handed out; in a `rush` it has twice as many."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size if rush else 0,
        pool_pre_ping=True,
        pool_timeout=10,
        hide_parameters=True,  # an error is logged: what callers asked for or sent is not
        connect_args={"connect_timeout": 5, **NOTICE_A_LOST_NETWORK},
    )


def make_prober(url: str) -> Engine:
    """An engine that connects anew each time and gives up after 3 s: it tells whether the server answers."""
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3, **NOTICE_A_LOST_NETWORK})


def wait_for_server(url: str, seconds: float = 300.0) -> None:
    """Return once Postgres takes connections: what starts together starts in any order.

    Raises sqlalchemy's OperationalError where it still does not after so many seconds.
    """
    engine = make_prober(url)
    deadline = time.monotonic() + seconds
    while True:
        try:
            engine.connect().close()
            return
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting_for_database", error=str(error.orig).splitlines()[0])
            time.sleep(1)


@Once
def get_engine() -> Engine:
    """The process's engine, by the settings."""
    settings = get_settings()
    return make_engine(settings.database_url, pool_size=settings.pool_size)


def session_factory(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(engine: Engine | None = None) -> Iterator[Session]:
    """A session that commits at its end, or rolls back. Only the edge of a request or a task opens one."""
    # Not by a factory: making one makes a class, which takes longer than many a transaction
    with Session(engine or get_engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def one_by_one(engine: Engine) -> Iterator[Session]:
    """A session whose statements are transactions of their own: for what reads, and at most writes once, at its end.

    A transaction around it would be begun and committed for nothing, each at the cost of a statement.
    """
    with Session(engine, expire_on_commit=False) as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


def after_commit(session: Session, action: Callable[[], Any]) -> None:
    """Do `action` once the session's transaction has been committed; never if it is rolled back.

    Its connection has been given back by then: an object store or a Redis that hangs holds up no other request.
    """

    def committed(_: Session) -> None:
        event.listen(session, "after_transaction_end", ended, once=True)

    def ended(_: Session, __: SessionTransaction) -> None:
        action()

    event.listen(session, "after_commit", committed, once=True)


def alembic_config(url: str | None = None) -> Config:
    """Alembic's configuration, from this package alone: no ini file has to be found."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url or get_settings().database_url
    return config


def is_migrated(engine: Engine) -> bool:
    """True when the database stands at the newest revision that this code knows, or at a newer one.

    During an upgrade the old release goes on at the new one's schema, which only adds to its own (docs/operations.md).
    """
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    older = _revisions()[1:]
    return current is not None and current not in older


@cache
def _revisions() -> list[str]:
    """All that this code knows, the newest first."""
    scripts = ScriptDirectory.from_config(alembic_config(""))
    return [script.revision for script in scripts.walk_revisions()]


def main(argv: list[str] | None = None) -> None:
    """Alembic's own command line (upgrade, downgrade, current, history, …) on the configured database."""
    command_line = CommandLine(prog="python -m linework_core.db")
    options = command_line.parser.parse_args(argv)
    if not hasattr(options, "cmd"):
        command_line.parser.error("too few arguments")
    logs.configure("migrate", get_settings().log_level)
    command_line.run_cmd(alembic_config(), options)


if __name__ == "__main__":
    main()
