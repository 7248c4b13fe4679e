"""An embed job: gives one encoder's index what it lacks, first vectors of drawings, then of descriptions.

Reading and decoding run ahead in threads while the model works on the batch before. Vectors are written
with the job's progress in one transaction, so that a worker that dies repeats at most what was not yet
written, and nothing is counted twice.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import structlog
from obstore.store import ObjectStore
from sqlalchemy.orm import Session

from linework_core import encoders, store, vector_costs, vector_index
from linework_core.corpus import next_snapshot
from linework_core.errors import LineworkError, NotFound, UnreadableImage
from linework_core.jobs.runner import Run
from linework_core.settings import Settings
from linework_core.tables import Encoder as EncoderRow
from linework_core.tables import Job
from linework_embedder import vectors
from linework_embedder.described import embed_descriptions
from linework_embedder.encoding import Vector, encode_each
from linework_embedder.roster import load_registered, manifest_of
from linework_embedder.served import open_derivative
from linework_vision.encoder import Encoder, Picture

log = structlog.get_logger()
Item = TypeVar("Item")
Result = TypeVar("Result")
PAGE = 1024  # drawings asked for at a time
WRITE_ROWS = 512  # vectors a transaction holds at most …
WRITE_S = 1.0  # … and how long they wait: the corpus' lock is taken once a transaction


@dataclass(frozen=True, slots=True)
class Work:
    """One derivative, and the drawings that show it."""

    derivative: str
    rows: tuple[int, ...]


class BulkEmbedder:
    """The handler of embed jobs. Keeps the last encoder loaded, since jobs mostly ask for the same."""

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._settings = settings
        self._objects = objects
        self._encoder: Encoder | None = None

    def __call__(self, run: Run) -> dict[str, Any]:
        """Raises NotFound, Gone, WeightsUnavailable, EncoderChanged, and Stopped when the run should end."""
        with run.transaction() as session:
            row = encoders.find_kept(session, run.params["encoder"])
        encoder = self._load(row)
        batch_size = self._settings.embed_batch_size
        while _Pass(run, row, encoder, self._objects, self._settings)() > 0:
            pass  # drawings came while we worked
        while embed_descriptions(run, row, encoder, batch_size) > 0:
            pass
        vector_costs.refresh(run.engine, row)
        vector_index.build_for_descriptions(run.engine, row)
        with run.transaction() as session:
            encoders.mark_ready(session, row)
            encoders.note_if_complete(session, row)
            encoders.note_if_described(session, row)
            job = session.get_one(Job, run.job_id)
            return {"encoder": row.encoder_id, "embedded": job.done, "failed": job.failed}

    def _load(self, row: EncoderRow) -> Encoder:
        if self._encoder is None or self._encoder.manifest.content_hash != row.content_hash:
            self._encoder = None  # its memory is free before the next one needs it
            self._encoder = load_registered(manifest_of(row), self._settings)
        return self._encoder


class _Pass:
    """Once through everything that is missing."""

    def __init__(self, run: Run, row: EncoderRow, encoder: Encoder, objects: ObjectStore, settings: Settings) -> None:
        self._run = run
        self._row = row
        self._encoder = encoder
        self._objects = objects
        self._batch_size = settings.embed_batch_size
        self._seen = 0
        self._vectors: dict[str, Vector] = {}
        self._rows: list[int] = []
        self._failures: dict[int, str] = {}
        self._written_at = time.monotonic()

    def __call__(self) -> int:
        """Embed, and return how many drawings were missing."""
        with self._run.transaction() as session:
            job = session.get_one(Job, self._run.job_id)
            missing = vectors.count_missing(session, self._row)
            self._run.tell(session, total=job.done + job.skipped + job.failed + missing)
        threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="read")
        try:
            prepared = ahead(threads, self._prepare, self._work(), depth=4 * self._batch_size)
            for batch in in_batches(prepared, self._batch_size):
                self._run.checkpoint()
                self._encode(batch)
                if len(self._rows) >= WRITE_ROWS or time.monotonic() - self._written_at > WRITE_S:
                    self._write()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        self._write()
        return self._seen

    def _work(self) -> Iterator[Work]:
        last = 0
        while True:
            with self._run.transaction() as session:
                page = vectors.page_of_missing(session, self._row, after=last, limit=PAGE)
                rows = {missing.row for missing in page}
                derivatives = {missing.derivative for missing in page}
                if vectors.has_known(session, self._row, derivatives):
                    copied = vectors.copy_known(session, self._row, rows, next_snapshot(session))
                    vectors.forget_failures(session, self._row, copied)
                    self._run.tell(session, done=len(copied))
                    rows -= copied
            if not page:
                return
            self._seen += len(page)
            last = page[-1].row
            same: dict[str, list[int]] = {}
            for missing in page:
                if missing.row in rows:
                    same.setdefault(missing.derivative, []).append(missing.row)
            yield from (Work(derivative, tuple(rows_of)) for derivative, rows_of in same.items())

    def _prepare(self, work: Work) -> tuple[Work, Picture | LineworkError]:
        """In a thread: read, decode, preprocess. What is wrong with this picture alone is its result; a store
        that does not answer is raised, and the job is tried again later.
        """
        try:
            png = store.get(self._objects, store.derivative_key(work.derivative))
            return work, self._encoder.preprocess(open_derivative(png))
        except (NotFound, UnreadableImage) as error:
            return work, error

    def _encode(self, batch: list[tuple[Work, Picture | LineworkError]]) -> None:
        whole = [(work, picture) for work, picture in batch if not isinstance(picture, LineworkError)]
        outcomes = encode_each(self._encoder.encode_drawings, [picture for _, picture in whole]) if whole else []
        for (work, _), outcome in zip(whole, outcomes, strict=True):
            if isinstance(outcome, LineworkError):
                self._fail(work, outcome)
            else:
                self._vectors[work.derivative] = outcome
                self._rows.extend(work.rows)
        for work, error in batch:
            if isinstance(error, LineworkError):
                self._fail(work, error)

    def _fail(self, work: Work, error: LineworkError) -> None:
        log.warning("drawing_not_embedded", derivative=work.derivative, reason=error.detail)
        self._failures.update(dict.fromkeys(work.rows, f"{error.type}: {error.detail}"))

    def _write(self) -> None:
        """Vectors, failures and progress, all or nothing."""
        if self._rows or self._failures:
            with self._run.transaction() as session:
                added = self._add_vectors(session) if self._rows else 0
                vectors.record_failures(session, self._row, self._failures)
                skipped = len(self._rows) - added  # closed meanwhile, or another worker was quicker
                self._run.tell(session, done=added, skipped=skipped, failed=len(self._failures))
        self._vectors, self._rows, self._failures = {}, [], {}
        self._written_at = time.monotonic()

    def _add_vectors(self, session: Session) -> int:
        vectors.stage(session, self._vectors)
        added = vectors.add_staged(session, self._row, self._rows, next_snapshot(session))
        vectors.forget_failures(session, self._row, self._rows)
        return added


def ahead(
    threads: ThreadPoolExecutor, do: Callable[[Item], Result], items: Iterable[Item], *, depth: int
) -> Iterator[Result]:
    """`do(item)` of each item in order, with up to `depth` of them begun before they are asked for."""
    begun: deque[Future[Result]] = deque()
    for item in items:
        begun.append(threads.submit(do, item))
        if len(begun) >= depth:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one perhaps shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
