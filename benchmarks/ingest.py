"""How fast packages become drawings, beside the bare work on their pixels, and whether memory stays flat.

    python -m benchmarks.ingest speed [--designs 100] [--rounds 5] [--packages DIR]
    python -m benchmarks.ingest memory --packages DIR
    python -m benchmarks.ingest memory --renumbered 50000

`speed`: an ingest job, run as a worker runs it, on a Postgres that syncs to disk and a folder of objects, over a bare
loop of decode → derivative → PNG that as many processes as the decoder has go through with the same sheets in memory.
The rounds take turns: bare, with whole sheets, with sheets split. `memory`: the same job by `python -m
linework_api.ingest` over packages that are there, or over small ones of a few drawings that are numbered anew.
"""

import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from sqlalchemy import select, text

from benchmarks.search import postgres
from linework_api.ingest import sources
from linework_api.ingest.formats import read
from linework_api.ingest.runner import Ingest
from linework_api.sheets.reading import read_sheet
from linework_core import bounded, imaging, logs
from linework_core.db import get_engine, transaction
from linework_core.jobs import runner
from linework_core.records import PatentRecord
from linework_core.settings import get_settings
from linework_core.store import get_store
from linework_core.tables import Job
from linework_office import Design, Sheet, draw, plan, publish, tiff, write_week
from linework_office.grant_xml import grant_xml
from linework_office.office import FIRST_NUMBER

app = typer.Typer(help=__doc__, add_completion=False)
MB = 1 << 20
A_WEEK = 1000  # designs, as many as an office grants at most
Packages = Annotated[Path | None, typer.Option(help="packages to ingest, instead of the sample office's")]


@contextmanager
def services() -> Iterator[Path]:
    """A Postgres and a folder of objects in the environment, as a worker of the local stack has them; their folder."""
    with tempfile.TemporaryDirectory(prefix="lw-") as name, postgres.server(Path(name)) as url:
        os.environ |= {
            "DATABASE_URL": url,
            "OBJECT_STORE_URL": Path(name, "objects").as_uri(),
            "OMP_NUM_THREADS": "1",
            "LOG_LEVEL": "WARNING",
        }
        logs.configure("benchmark", "WARNING")
        yield Path(name)
        get_engine().dispose()


@app.command()
def speed(designs: int = 100, rounds: int = 5, packages: Packages = None) -> None:
    """Sheets a second, and their share of the bare loop's."""
    with services() as folder:
        inbox = packages or folder / "inbox"
        if packages is None:
            publish(inbox, designs, seed=3, workers=2)
        sheets = sheets_in(inbox)
        decoder = bounded.Decoder(modules=[read_sheet.__module__])
        with ProcessPoolExecutor(get_settings().decode_workers, get_context("spawn")) as pool:
            times = [
                (bare(pool, sheets), ingest_anew(inbox, decoder, split=False), ingest_anew(inbox, decoder, split=True))
                for _ in range(rounds + 1)
            ][1:]  # in the first the processes start
        decoder.close()
    print(f"{len(sheets)} sheets, {get_settings().decode_workers} processes, {rounds} rounds\n")
    print("| | sheets/s | over the bare loop: median (range) |\n|---|---|---|")
    for number, what in enumerate(("bare loop", "ingest, SPLIT_SHEETS off", "ingest, SPLIT_SHEETS on")):
        ratios = sorted(one[0] / one[number] for one in times)
        told = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {what} | {len(sheets) / statistics.median(one[number] for one in times):.0f} | {told} |")


def sheets_in(inbox: Path) -> list[bytes]:
    """The originals of all sheets that an ingest of these packages decodes."""
    records = (one for one in read(sources.resolve(str(inbox), None)) if isinstance(one, PatentRecord))
    return [sheet.read() for record in records for sheet in record.sheets]


def bare(pool: ProcessPoolExecutor, sheets: list[bytes]) -> float:
    """Seconds in which the pool makes all their derivatives and throws them away."""
    began = time.perf_counter()
    made = sum(pool.map(length_of_derivative, sheets, chunksize=8))
    assert made > 0
    return time.perf_counter() - began


def length_of_derivative(sheet: bytes) -> int:
    return len(imaging.derivative_of(sheet))


def ingest(inbox: Path, decoder: bounded.Decoder, *, split: bool = True) -> float:
    """Seconds of an ingest job."""
    settings = get_settings().model_copy(update={"split_sheets": split})
    with transaction() as session:
        job = Job(kind="ingest", params={"uri": inbox.resolve().as_uri(), "trusted": True}, owner="benchmark")
        session.add(job)
    began = time.perf_counter()
    runner.run_job(job.id, lambda run: Ingest(run, settings, get_store(), decoder)())
    seconds = time.perf_counter() - began
    with transaction() as session:
        ended = session.get_one(Job, job.id)
        assert (ended.state, ended.done) == ("succeeded", ended.total), ended.error
    return seconds


def ingest_anew(inbox: Path, decoder: bounded.Decoder, *, split: bool) -> float:
    """The same in an empty corpus."""
    with transaction() as session:
        session.execute(text("TRUNCATE patents, jobs CASCADE"))
    for folder in Path(get_settings().object_store_url.removeprefix("file://")).glob("*"):
        shutil.rmtree(folder)
    return ingest(inbox, decoder, split=split)


@app.command()
def memory(packages: Packages = None, renumbered: int = 50_000, every: float = 1.0) -> None:
    """Resident memory of the process that ingests, and of its children, by how far it has come."""
    with services() as folder:
        inbox = packages or folder / "inbox"
        if packages is None:
            write_renumbered(inbox, renumbered)
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-m", "linework_api.ingest", inbox], stdout=subprocess.PIPE) as process:
            samples = np.array(list(watch(psutil.Process(process.pid), every)))
        seconds = time.perf_counter() - began
    done, own, children = samples.T
    print(f"{done[-1]:,.0f} designs in {seconds:.0f} s, exit status {process.returncode}\n")
    print("| designs | the process, MB | its children, MB |\n|---|---|---|")
    for share in (0.01, 0.1, 0.25, 0.5, 0.75, 1):
        at = int(np.searchsorted(done, share * done[-1]))
        print(f"| {done[at]:,.0f} | {own[at]:.0f} | {children[at]:.0f} |")
    later = done >= done[-1] / 2
    slope = np.polyfit(done[later] / 1000, own[later], 1)[0]
    print(f"\nmost: {own.max():.0f} MB and {children.max():.0f} MB; second half: {slope:+.2f} MB per 1,000 designs")


def watch(process: psutil.Process, every: float) -> Iterator[tuple[int, float, float]]:
    """Designs done, MB of the process and of its children, until it ends."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        with transaction() as session:
            done = session.scalar(select(Job.done)) or 0
        try:
            own = process.memory_info().rss / MB
            yield done, own, sum(child.memory_info().rss for child in process.children(recursive=True)) / MB
        except psutil.NoSuchProcess:  # it has just ended, or a child of it
            continue
        time.sleep(every)


def write_renumbered(folder: Path, count: int) -> None:
    """Weekly tars of so many packages of one small drawing each: a few designs, under numbers of their own."""
    folder.mkdir()
    few = [replace(one, views=one.views[:1], sheets=(1,), citations=(), parents=()) for one in plan(20, seed=3)]
    models = cycle([(one, [(sheet, tiff(sheet)) for sheet in draw(one, size=0.1)]) for one in few])
    for week, first in enumerate(range(0, count, A_WEEK)):
        granted = date(2007, 1, 2) + timedelta(weeks=week)
        numbers = range(FIRST_NUMBER + first, FIRST_NUMBER + min(first + A_WEEK, count))
        write_week(folder, granted, (package(*next(models), number, granted) for number in numbers))


def package(model: Design, sheets: list[tuple[Sheet, bytes]], number: int, granted: date) -> tuple[str, bytes]:
    """The name and the ZIP of a design under another number."""
    design, out = replace(model, number=number, granted=granted), io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for sheet, data in sheets:
            archive.writestr(f"{design.name}/{design.name}-D{sheet.number:05d}.TIF", data)
        archive.writestr(f"{design.name}/{design.name}.XML", grant_xml(design, [sheet for sheet, _ in sheets]))
    return design.name, out.getvalue()


if __name__ == "__main__":
    app()
