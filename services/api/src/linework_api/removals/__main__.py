"""`python -m linework_api.removals restore|erase|lift ID`: what the routes do, at the shell.

It needs the database and the object store, and neither the gateway nor a worker: the job runs in this process.
"""

import argparse
import getpass
import json
import sys
from typing import Any

from linework_api.removals import jobs, service
from linework_core import logs, patent_ids
from linework_core.bounded import Decoder
from linework_core.db import transaction
from linework_core.errors import LineworkError
from linework_core.jobs import runner
from linework_core.jobs import service as all_jobs
from linework_core.jobs.runner import Handler
from linework_core.jobs.service import JobView
from linework_core.settings import get_settings
from linework_core.store import get_store


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when it was done; a job's row is printed as JSON, and an error on standard error."""
    options = _parser().parse_args(argv)
    logs.configure("removals", get_settings().log_level)
    try:
        return _run(options)
    except LineworkError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m linework_api.removals", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("restore", help="undo a withdrawal").add_argument("patent")
    erase = commands.add_parser("erase", help="delete a patent for good; a tombstone stays")
    erase.add_argument("patent")
    erase.add_argument("--confirm", required=True, metavar="ID", help="the patent's id a second time")
    erase.add_argument("--reason", required=True, help="a court's order, say; the tombstone keeps it")
    commands.add_parser("lift", help="let an erased patent be loaded again").add_argument("patent")
    return parser


def _run(options: argparse.Namespace) -> int:
    by = f"shell:{getpass.getuser()}"
    if options.command == "lift":
        with transaction() as session:
            service.lift(session, options.patent, by)
        return 0
    if options.command == "restore":
        with transaction() as session:
            named = patent_ids.resolve_one(session, options.patent)
            service.withdrawn_version(session, named)
        return _work({"restore": named}, jobs.restore)
    with transaction() as session:
        named = patent_ids.resolve_one(session, options.patent)
        if options.confirm not in (named, options.patent):
            sys.stderr.write(f"Nothing was erased: --confirm must repeat the id, {named}.\n")
            return 2
        service.newest_version(session, named)
    params = {"erase": named, "reason": options.reason, "by": by}
    decoder = Decoder()
    try:
        return _work(params, lambda run: jobs.erase(run, get_store(), decoder.decode))
    finally:
        decoder.close()


def _work(params: dict[str, Any], handler: Handler) -> int:
    """Make the job, run it here, and print it. What fails half-way a worker goes on with."""
    job_id = runner.run_here("ingest", params, handler, owner="shell")
    with transaction() as session:
        view = JobView.of(all_jobs.find(session, job_id, owner=None))
    json.dump(view.model_dump(mode="json"), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if view.state == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main())
