"""`python -m linework_api.ingest PATH`: ingest a folder, a tar, a ZIP or a JSON that lies on this machine's disk.

It needs the database and the object store, and neither the gateway nor a worker: the job runs in this process.
With `--queue URI` (under INGEST_ROOTS) a job is made for the workers instead: what a schedule wants.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from linework_api.ingest.runner import Ingest
from linework_api.sheets.reading import read_sheet
from linework_core import logs
from linework_core.bounded import Decoder
from linework_core.db import transaction
from linework_core.jobs import runner, service
from linework_core.jobs.runner import Run
from linework_core.jobs.service import JobView
from linework_core.settings import get_settings
from linework_core.store import get_store


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when the job succeeded (with --queue: was made); its row is printed as JSON."""
    parser = argparse.ArgumentParser(prog="python -m linework_api.ingest", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "path", nargs="?", type=Path, help="a weekly tar, a package (ZIP or folder), a JSON, or a folder of these"
    )
    what.add_argument("--queue", metavar="URI", help="file:///… or s3://… of the same, for the ingest workers to read")
    parser.add_argument("--images", type=Path, help="where the images of a JSON are: a tar or a folder")
    parser.add_argument("--restore", action="store_true", help="load withdrawn patents again")
    options = parser.parse_args(argv)
    more = {"restore_withdrawn": True} if options.restore else {}
    logs.configure("ingest", get_settings().log_level)
    wanted = "queued" if options.queue else "succeeded"
    view = queue(options.queue, **more) if options.queue else ingest(options.path, options.images, **more)
    json.dump(view.model_dump(mode="json"), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if view.state == wanted else 1


def queue(uri: str, **more: Any) -> JobView:
    """Make a job that a worker will run, with `more` parameters. Everybody may read it."""
    with transaction() as session:
        return JobView.of(service.create(session, "ingest", {"uri": uri, **more}, owner=service.SHARED))


def ingest(path: Path, images: Path | None = None, **more: Any) -> JobView:
    """Make the job and run it here. Whoever is at the shell may read any path that they may read anyway."""
    params: dict[str, Any] = {"uri": path.resolve().as_uri(), "trusted": True, **more}
    if images is not None:
        params["images"] = images.resolve().as_uri()
    decoder = Decoder(modules=[read_sheet.__module__])

    def handle(run: Run) -> dict[str, Any]:
        return Ingest(run, get_settings(), get_store(), decoder)()

    try:
        job_id = runner.run_here("ingest", params, handle, owner="shell")
    finally:
        decoder.close()
    with transaction() as session:
        return JobView.of(service.find(session, job_id, owner=None))


if __name__ == "__main__":
    sys.exit(main())
