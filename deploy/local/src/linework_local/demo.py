"""The demo: a sample corpus through the public API, and a first search limited by a date."""

import re
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from linework_local.errors import StackError
from linework_local.gateway import Gateway
from linework_local.machine import Machine

DESIGNS = 60
SEED = 2024
PAUSE = 0.25  # seconds between two looks at a job
PACKAGE = re.compile(r"(?:.*/)?([A-Z]+[0-9]+)-(\d{4})(\d{2})(\d{2})\.ZIP", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Query:
    """A patent, and the day before which prior art counts: its own grant."""

    patent: str
    before: str


def write_corpus(folder: Path) -> None:
    """The sample packages, unless they are there. An interrupted run leaves nothing that looks finished."""
    if folder.exists():
        return
    import linework_office  # its mesh libraries take a while to load, and only a first demo needs them

    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    linework_office.publish(new, designs=DESIGNS, seed=SEED, workers=Machine.here().cores)
    new.rename(folder)


def load(gateway: Gateway, folder: Path, console: Console, seconds: float = 600.0) -> None:
    """Ingest the folder and wait until the active index covers every drawing. Raises StackError."""
    columns = TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    deadline = time.monotonic() + seconds
    with Progress(*columns, console=console) as progress:
        _ingest(gateway, folder, progress, deadline)
        _wait_for_index(gateway, progress, deadline)


def newest_query(folder: Path) -> Query:
    """The first patent of the newest weekly package, so that everything else may be prior art."""
    newest = max(folder.glob("*.tar"))
    with tarfile.open(newest) as tar:
        for member in tar:
            if match := PACKAGE.fullmatch(member.name):
                patent, *date = match.groups()
                return Query(patent, "-".join(date))
    raise StackError(f"{newest} holds no package.", "Remove the demo folder and try again.")


def table_of(answer: dict[str, Any]) -> Table:
    """The hits of a search, for people."""
    exact = "exact" if answer["exact"] else "approximate"
    caption = f"{answer['eligible']} drawings compared, {exact}, by {answer['encoder']['name']}"
    table = Table("rank", "score", "patent", "title", "granted", caption=caption)
    for hit in answer["hits"]:
        patent = hit["patent"]
        table.add_row(
            str(hit["rank"]),
            f"{hit['score']:.3f}",
            patent["id"],
            patent["title"] or "",
            patent["granted"] or "",
        )
    return table


def _ingest(gateway: Gateway, folder: Path, progress: Progress, deadline: float) -> None:
    bar = progress.add_task("Ingesting", total=None)
    job = gateway.ingest(folder.as_uri())
    while job["state"] in ("queued", "running"):
        _in_time(deadline)
        time.sleep(PAUSE)
        job = gateway.job(job["id"])
        _show(progress, bar, job["progress"])
    if job["state"] != "succeeded":
        raise StackError(f"Ingesting {job['state']}: {job['error']}", "See make logs.")


def _show(progress: Progress, bar: TaskID, counts: dict[str, Any]) -> None:
    seen = counts["done"] + counts["skipped"] + counts["failed"]
    progress.update(bar, total=counts["total"], completed=seen)


def _wait_for_index(gateway: Gateway, progress: Progress, deadline: float) -> None:
    bar = progress.add_task("Embedding", total=None)
    while True:
        active = next((index for index in gateway.corpus()["indexes"] if index["state"] == "active"), None)
        if active:
            seen = active["indexed"] + active["failed"]
            progress.update(bar, total=active["drawings"], completed=seen)
            if seen >= active["drawings"] > 0:
                return
        _in_time(deadline)
        time.sleep(PAUSE)


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise StackError("The demo takes too long.", "See make status and make logs.")
