"""A pytest plugin for the suite of an older release: its databases get the schema of this one."""

import os
import subprocess
import sys
from typing import Any

from alembic import command
from alembic.config import Config


def _upgrade(config: Config, revision: str, **_: Any) -> None:
    """`alembic upgrade`, by the sources that NEWER_SOURCES names: the older release does not know what is newer."""
    newer = os.environ | {"DATABASE_URL": config.attributes["url"], "PYTHONPATH": os.environ["NEWER_SOURCES"]}
    subprocess.run([sys.executable, "-m", "linework_core.db", "upgrade", revision], env=newer, check=True, cwd="/")


command.upgrade = _upgrade
