"""Making a batch: which queries it has, and the job that searches by them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from linework_api.batches.pictures import pictures
from linework_api.batches.schemas import MOST_QUERIES, BatchOptions, BatchParams, BatchRequest, days
from linework_api.ingest import sources
from linework_api.ingest.formats.faults import Fault
from linework_api.ingest.uploads import Upload
from linework_api.search import repository
from linework_api.state import SearchResources
from linework_core import patent_ids
from linework_core.corpus import visible
from linework_core.errors import Unprocessable
from linework_core.jobs import service as jobs
from linework_core.tables import BatchQuery, Job, Patent


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch to be. `take` counts so many searches of the day, or raises QuotaExceeded."""

    resources: SearchResources
    options: BatchOptions
    owner: str
    take: Callable[[int], None]

    def of_patents(self, wanted: BatchRequest, session: Session) -> Job:
        """A job for the patents of a list, or of a span as they are now. Raises Unprocessable for too many."""
        params = self._params(session)
        if wanted.granted is None:
            meant = patent_ids.resolve(session, wanted.patents)
            return self._create(session, params, list(dict.fromkeys(meant[text] for text in wanted.patents)))
        span = Patent.granted.between(*days(wanted.granted))
        found = select(Patent.patent_id).where(span, visible(Patent, params.snapshot)).order_by(Patent.patent_id)
        return self._create(session, params, list(session.scalars(found.limit(MOST_QUERIES + 1))))

    def names_in(self, upload: Upload) -> list[str]:
        """The files of an archive, a few more than a batch may have at most. Raises Unprocessable."""
        source = sources.in_store(self.resources.store, upload.key, upload.name)
        try:
            found = islice(pictures(source, self.resources.settings.max_query_bytes), MOST_QUERIES + 1)
            return [picture.name for picture in found]
        except Fault as fault:
            raise Unprocessable(fault.detail, reason=fault.reason) from None

    def of_pictures(self, upload: Upload, names: list[str], session: Session) -> Job:
        """A job for each file of an archive. Raises Unprocessable for too many."""
        return self._create(session, self._params(session, upload), names)

    def check_for_pictures(self) -> None:
        """Raises Unprocessable for options that only patents can have."""
        if self.options.before == "self":
            raise Unprocessable("Pictures have no date of their own: name a day as 'before'.")
        if self.options.family == "exclude":
            raise Unprocessable("Pictures have no family: 'family=exclude' is for patents.")

    def _params(self, session: Session, upload: Upload | None = None) -> BatchParams:
        snapshot, encoder = repository.now(session)
        return BatchParams(options=self.options, snapshot=snapshot, encoder=encoder, upload=upload)

    def _create(self, session: Session, params: BatchParams, names: list[str]) -> Job:
        if len(names) > MOST_QUERIES:
            raise Unprocessable(f"A batch has at most {MOST_QUERIES:,} queries.")
        self.take(len(names))
        job = jobs.create(session, "search", params.model_dump(mode="json", exclude_unset=True), owner=self.owner)
        job.total = len(names)
        rows = [{"job_id": job.id, "ordinal": ordinal, "query": name} for ordinal, name in enumerate(names, start=1)]
        if rows:
            session.execute(insert(BatchQuery), rows)
        session.flush()
        return job
