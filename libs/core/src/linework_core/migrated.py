"""`python -m linework_core.migrated` returns once the schema is at this release's revision.

In a cluster it stands before every process of a new release, so that migrations come first (deploy/k8s).
"""

import time

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from linework_core import logs
from linework_core.db import is_migrated, make_prober
from linework_core.settings import get_settings

log = structlog.get_logger()
LOOK_S = 2.0


def wait_until_migrated(engine: Engine) -> None:
    """Return when it is so, however long that takes: whoever started us may have more or less patience."""
    while not _looked(engine):
        time.sleep(LOOK_S)


def _looked(engine: Engine) -> bool:
    try:
        there = is_migrated(engine)
    except SQLAlchemyError as error:
        log.warning("waiting_for_database", error=str(error).splitlines()[0])
        return False
    if not there:
        log.info("waiting_for_migrations")
    return there


if __name__ == "__main__":
    logs.configure("migrated", get_settings().log_level)
    wait_until_migrated(make_prober(get_settings().database_url))
