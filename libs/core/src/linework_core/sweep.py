"""`python -m linework_core.sweep` deletes uploads and states of trainings that no undone job uses, and pictures of
erased patents that are still there. It marks searches that were under way when a patent was erased.

Jobs delete theirs when they end. What a process leaves behind that was killed at the wrong moment is found here; the
beat does it once an hour. Nothing younger than a day is touched, nor what a queued or running job uses, however old.
Several may sweep at once.
"""

import argparse
import datetime as dt
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.store import ObjectStore
from sqlalchemy import select

from linework_core import erasures, logs, store
from linework_core.db import transaction
from linework_core.jobs.objects import TRAININGS, UPLOADS, keys_of
from linework_core.jobs.service import UNDONE
from linework_core.settings import Settings, get_settings
from linework_core.tables import Job

log = structlog.get_logger()
YOUNG = dt.timedelta(days=1)
HALF_AN_OBJECT = re.compile(r".+#\d+")  # as a local store names what is still being written


def sweep(settings: Settings, objects: ObjectStore, *, dry_run: bool = False) -> list[str]:
    """Delete what is old and unused, and return the keys. Raises what the store raises, and SQLAlchemyError."""
    before = dt.datetime.now(dt.UTC) - YOUNG
    old = list(_old(objects, before))
    # asked after the listing: a job that uses one of these was made long ago, and is seen unless it has ended
    used = _used() if old else set()
    unused = [key for key in old if key not in used]
    halves = list(_halves(settings.object_store_url, before))
    if not dry_run:
        for key in unused:
            store.delete(objects, key)
        for half in halves:
            half.unlink(missing_ok=True)
        _end_erasures(objects, before)
    return unused + [half.as_uri() for half in halves]


def _end_erasures(objects: ObjectStore, before: dt.datetime) -> None:
    """Mark what was searched while a patent was erased, and delete the pictures that are left."""
    with transaction() as session:
        erasures.mark_searches_again(session, before)
        unfinished = erasures.unfinished(session)
    for erasure_id in unfinished:
        with transaction() as session:
            erasures.delete_pictures(session, objects, erasure_id)


def _old(objects: ObjectStore, before: dt.datetime) -> Iterator[str]:
    for prefix in (UPLOADS, TRAININGS):
        for page in obstore.list(objects, prefix):
            yield from (meta["path"] for meta in page if meta["last_modified"] < before)


def _used() -> set[str]:
    with transaction() as session:
        undone = session.execute(select(Job.id, Job.kind, Job.params).where(Job.state.in_(UNDONE)))
        return {key for job_id, kind, params in undone for key in keys_of(job_id, kind, params)}


def _halves(url: str, before: dt.datetime) -> Iterator[Path]:
    """What an upload that was cut off left in a folder; S3 has a lifecycle rule for it (docs/operations.md)."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return
    for prefix in (UPLOADS, TRAININGS):
        for path in Path(unquote(parts.path), prefix).rglob("*#*"):
            with suppress(FileNotFoundError):  # another sweep was quicker, or the upload has just ended
                if HALF_AN_OBJECT.fullmatch(path.name) and path.stat().st_mtime < before.timestamp():
                    yield path


def main(argv: list[str] | None = None) -> None:
    """Print the key of each object that was deleted."""
    parser = argparse.ArgumentParser(prog="python -m linework_core.sweep", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="only list what would be deleted")
    options = parser.parse_args(argv)
    settings = get_settings()
    logs.configure("sweep", settings.log_level)
    for key in sweep(settings, store.get_store(), dry_run=options.dry_run):
        sys.stdout.write(f"{key}\n")


if __name__ == "__main__":
    main()
