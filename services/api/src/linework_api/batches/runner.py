"""The job of a batch: search by what was not searched yet, several at once, each query's record with its own row."""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from linework_api.batches.pictures import pictures
from linework_api.batches.schemas import BatchParams
from linework_api.ingest import sources
from linework_api.ingest.formats.faults import Fault
from linework_api.search import repository
from linework_api.search.pictures import read_one
from linework_api.search.schemas import ImageOptions, Refinement, StoredQuery
from linework_api.search.service import Question, SearchService
from linework_api.state import SearchResources
from linework_core.errors import LineworkError, Unavailable, UnreadableImage
from linework_core.failures import storable
from linework_core.jobs.runner import Run
from linework_core.tables import BatchQuery

AT_ONCE = 4  # transactions side by side: Postgres compares while another answer is written down
TOGETHER = 16  # queries a transaction
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: a patent's id, or a picture with its bytes, or why these cannot be read."""

    ordinal: int
    name: str
    picture: bytes | Fault | UnreadableImage | None = None


class BatchSearch:
    """One run of one batch."""

    def __init__(self, run: Run, resources: SearchResources) -> None:
        self.run = run
        self.resources = resources
        self.params = BatchParams.model_validate(run.params)

    def __call__(self) -> dict[str, Any]:
        """Search by every query that waits, and return what became of all. Raises Stopped between groups of queries."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            under_way: deque[Future[None]] = deque()
            for group in _groups(self._waiting(), TOGETHER):
                if len(under_way) == 2 * AT_ONCE:  # pictures that were read are in memory
                    under_way.popleft().result()
                under_way.append(pool.submit(self._search, group))
            for one in under_way:
                one.result()
        return self._outcome()

    def _waiting(self) -> Iterator[Asked]:
        """The queries in their order; those of an archive with their bytes."""
        statement = select(BatchQuery.ordinal, BatchQuery.query).where(
            BatchQuery.job_id == self.run.job_id, BatchQuery.searched_at.is_(None)
        )
        with Session(self.run.engine) as session:
            undone = [Asked(*row) for row in session.execute(statement.order_by(BatchQuery.ordinal))]
        if self.params.upload is None or not undone:
            yield from undone
            return
        wanted = {asked.ordinal for asked in undone}
        upload = self.params.upload
        source = sources.in_store(self.resources.store, upload.key, upload.name)
        found = pictures(source, self.resources.settings.max_query_bytes)
        for ordinal, picture in enumerate(islice(found, max(wanted)), start=1):
            if ordinal in wanted:
                yield Asked(ordinal, picture.name, _bytes_of(picture.read))

    def _search(self, group: list[Asked]) -> None:
        """One transaction: the records, their rows, and the job's progress. A run ends between groups."""
        with self.run.transaction() as session:
            rows = [self._row(session, asked) for asked in group]
            session.execute(update(BatchQuery), rows)
            done = sum(row["search_id"] is not None for row in rows)
            self.run.tell(session, done=done, failed=len(rows) - done)

    def _row(self, session: Session, asked: Asked) -> dict[str, Any]:
        found: dict[str, Any] = {"search_id": None, "reason": None, "detail": None}
        try:
            found["search_id"] = self._searched(session, asked)
        except Unavailable:  # no fault of the query: the job is tried again
            raise
        except Fault as fault:
            found |= {"reason": fault.reason, "detail": storable(fault.detail)}
        except LineworkError as error:
            found |= {"reason": error.type, "detail": storable(error.detail)}
        now = dt.datetime.now(dt.UTC)
        return {"job_id": self.run.job_id, "ordinal": asked.ordinal, "searched_at": now, **found}

    def _searched(self, session: Session, asked: Asked) -> UUID:
        service = SearchService(session, self.resources, caller=self.run.owner, at=self.params.at)
        search_id = service.keep(self._question(service, asked))
        if not self.params.options.record:
            repository.count_unrecorded(session, self.run.owner)
        return search_id

    def _question(self, service: SearchService, asked: Asked) -> Question:
        """What a single call would ask. Raises LineworkError for a query that cannot be asked."""
        told = self.params.options.model_dump(mode="json", exclude_unset=True, exclude={"split"})
        if asked.picture is None:
            return service.ask_stored(StoredQuery.model_validate({"before": "self", **told, "patent": asked.name}))
        if not isinstance(asked.picture, bytes):
            raise asked.picture
        drawings = read_one(self.resources, asked.picture, self.params.options.split, self.run.owner)
        return service.ask_images(drawings, Refinement(), ImageOptions.model_validate(told))

    def _outcome(self) -> dict[str, Any]:
        """The snapshot, and how many queries were answered or set aside, by reason; over all runs of the job."""
        counted = select(BatchQuery.reason, func.count()).where(BatchQuery.job_id == self.run.job_id)
        with Session(self.run.engine) as session:
            counts = dict(session.execute(counted.group_by(BatchQuery.reason)).all())
        answered = counts.pop(None, 0)
        return {"snapshot": self.params.snapshot, "answered": answered, "set_aside": counts}


def _bytes_of(read: Callable[[], bytes]) -> bytes | Fault | UnreadableImage:
    try:
        return read()
    except (Fault, UnreadableImage) as error:
        return error


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
