"""The corpora: one to train on, three to judge by, each in a database of its own, filled by the project's own jobs.

objects   four fifths of ldraw-views' families and the sample office's designs of one seed: trained on
kept      the other families of ldraw-views
office    the sample office's designs of another seed
patents   30 real US design patents; nothing is trained, chosen or tuned on them
"""

import json
import re
import signal
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from obstore.store import ObjectStore
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from benchmarks.packages import tar_of
from linework_api.ingest.runner import Ingest
from linework_core import db, store
from linework_core.bounded import Decoder
from linework_core.jobs import runner
from linework_core.jobs.runner import Run
from linework_core.settings import Settings
from linework_core.tables import Drawing, Job
from linework_enricher.job import Enricher
from linework_local.machine import Machine
from linework_local.postgres import Postgres
from linework_office import publish

KEPT_OF = 5  # one family in so many is kept back
DESIGNS, JUDGED_DESIGNS = 600, 150  # of the sample office
PAGE_SIZE = 0.35  # of its sheets: derivatives are smaller still
Handler = Callable[[Run], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A database, and the object store that all of them share."""

    name: str
    settings: Settings
    engine: Engine
    objects: ObjectStore

    def do(self, kind: str, handler: Handler, **params: Any) -> dict[str, Any]:
        """Run a job as its worker would, and return its result. Raises SystemExit if it fails."""
        with Session(self.engine) as session, session.begin():
            job = Job(kind=kind, params=params, owner="benchmark")
            session.add(job)
            session.flush()
            job_id = job.id
        runner.run_job(job_id, handler, engine=self.engine)
        with Session(self.engine) as session:
            done = session.get_one(Job, job_id)
            if done.state != "succeeded":
                raise SystemExit(f"{kind} in {self.name}: {done.error}")
            return done.result or {}

    def drawings(self) -> int:
        with Session(self.engine) as session:
            return session.scalar(select(func.count()).select_from(Drawing)) or 0


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[str], Corpus]]:
    """A Postgres that keeps its data in `folder`, and a way to the corpus of each name in it."""
    postgres = Postgres(data=folder / "pg", sockets=folder / "s")
    folder.mkdir(parents=True, exist_ok=True)
    postgres.prepare(Machine.here())
    with (folder / "postgres.log").open("ab") as log:
        process = subprocess.Popen(postgres.command(), stdout=log, stderr=log, cwd="/")
    try:
        postgres.wait_until_ready()
        yield lambda name: _corpus(postgres, folder, name)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def _corpus(postgres: Postgres, folder: Path, name: str) -> Corpus:
    postgres.create_database(name)
    url = postgres.url(name)
    command.upgrade(db.alembic_config(url), "head")
    settings = Settings(
        database_url=url,
        redis_url=f"unix://{folder / 'no-redis'}",  # nobody waits for nudges here
        object_store_url=(folder / "store").absolute().as_uri(),
        cache_dir=folder / "cache",
    )
    return Corpus(name, settings, db.make_engine(url), store.open_store(settings.object_store_url))


def prepare(folder: Path, data: Path) -> None:
    """Fill the corpora that are empty: packages are written, ingested, and described by `template`."""
    with opened(folder) as corpus, closing(Decoder()) as decoder:
        for name, write in _packages(data).items():
            mine, packages = corpus(name), folder / "inbox" / name
            if mine.drawings():
                continue
            packages.mkdir(parents=True, exist_ok=True)
            write(packages)
            ingest = partial(_ingest, corpus=mine, decoder=decoder)
            mine.do("ingest", ingest, uri=packages.absolute().as_uri(), trusted=True)
            mine.do("enrich", Enricher(mine.settings, mine.objects), provider="template")


def _ingest(run: Run, *, corpus: Corpus, decoder: Decoder) -> dict[str, Any]:
    return Ingest(run, corpus.settings, corpus.objects, decoder)()


def _packages(data: Path) -> dict[str, Callable[[Path], object]]:
    """What writes the packages of each corpus into a folder."""

    def objects(into: Path) -> None:
        _write_views(data, into, kept=False)
        publish(into, designs=DESIGNS, seed=101, size=PAGE_SIZE, workers=2)

    def patents(into: Path) -> None:
        for package in sorted((data / "uspto" / "impact30").glob("*.[zZ][iI][pP]")):
            (into / package.name).write_bytes(package.read_bytes())

    return {
        "patents": patents,
        "kept": lambda into: _write_views(data, into, kept=True),
        "office": lambda into: publish(into, designs=JUDGED_DESIGNS, seed=202, size=PAGE_SIZE, workers=2),
        "objects": objects,
    }


def is_kept_back(patent: str) -> bool:
    """Whether a part of ldraw-views is not trained on. Variants of a part (3001, 3001a) share its number."""
    family = re.sub(r"^LD([a-z]*\d+).*$", r"\1", patent)
    return zlib.crc32(family.encode()) % KEPT_OF == 0


def _write_views(data: Path, into: Path, *, kept: bool) -> None:
    source = data / "ldraw-views"
    records = json.loads((source / "records.json").read_text(encoding="utf-8"))
    chosen = [record for record in records if is_kept_back(record["patentID"]) is kept]
    (into / "views.tar").write_bytes(tar_of(chosen, source / "images.tar"))
