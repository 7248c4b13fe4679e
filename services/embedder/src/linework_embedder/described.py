"""The second half of an embed job: the vectors of descriptions, for an encoder with a text tower.

A drawing's set of texts gets one vector, the mean of its texts' unit vectors made a unit vector again. Drawings of
one design share most of their texts, so what is equal within a page goes through the model once.
"""

from collections.abc import Sequence

import numpy as np
import structlog

from linework_core.corpus import next_snapshot
from linework_core.errors import LineworkError
from linework_core.jobs.runner import Run
from linework_core.tables import Encoder as EncoderRow
from linework_core.tables import Job
from linework_embedder import description_vectors
from linework_embedder.description_vectors import Missing
from linework_embedder.encoding import Vector, encode_each
from linework_vision.encoder import Encoder, unit_rows

log = structlog.get_logger()
PAGE = 64  # sets a transaction; with twenty texts each a page is a second's work on a GPU
Outcomes = dict[str, Vector | LineworkError]


def embed_descriptions(run: Run, row: EncoderRow, encoder: Encoder, batch_size: int) -> int:
    """Once through all sets without a vector; returns how many there were. Raises Stopped when the run should end."""
    if not row.has_text:
        return 0
    with run.transaction() as session:
        job = session.get_one(Job, run.job_id)
        missing = description_vectors.count_missing(session, row)
        run.tell(session, total=job.done + job.skipped + job.failed + missing)
    seen, last = 0, 0
    while True:
        with run.transaction() as session:
            page = description_vectors.page_of_missing(session, row, after=last, limit=PAGE)
        if not page:
            return seen
        seen, last = seen + len(page), page[-1].description
        _write(run, row, page, _encode(run, encoder, page, batch_size))


def _encode(run: Run, encoder: Encoder, page: Sequence[Missing], batch_size: int) -> Outcomes:
    """The vector of each text of the page, or why it has none."""
    texts = list(dict.fromkeys(text for missing in page for text in missing.texts))
    outcomes: Outcomes = {}
    for start in range(0, len(texts), batch_size):
        run.checkpoint()
        batch = texts[start : start + batch_size]
        outcomes.update(zip(batch, encode_each(encoder.encode_texts, batch), strict=True))
    return outcomes


def mean_of(outcomes: Sequence[Vector | LineworkError]) -> Vector | LineworkError:
    """The unit vector (d,) of a set: of the texts that have one. If none has, the first one's error."""
    vectors = [outcome for outcome in outcomes if not isinstance(outcome, LineworkError)]
    if vectors:
        mean: Vector = unit_rows(np.mean(vectors, axis=0, keepdims=True))[0]
        return mean
    return outcomes[0] if outcomes and isinstance(outcomes[0], LineworkError) else LineworkError("It has no texts.")


def _write(run: Run, row: EncoderRow, page: Sequence[Missing], outcomes: Outcomes) -> None:
    """Vectors, failures and progress of a page, all or nothing."""
    means = {one.description: mean_of([outcomes[text] for text in one.texts]) for one in page}
    failures = {
        one: f"{error.type}: {error.detail}" for one, error in means.items() if isinstance(error, LineworkError)
    }
    vectors = {one: vector for one, vector in means.items() if not isinstance(vector, LineworkError)}
    for description, reason in failures.items():
        log.warning("description_not_embedded", description=description, reason=reason)
    with run.transaction() as session:
        description_vectors.record_failures(session, row, failures)
        added = 0
        if vectors:
            added = description_vectors.add(session, row, vectors, next_snapshot(session))
            description_vectors.forget_failures(session, row, vectors.keys())
        skipped = len(vectors) - added  # closed meanwhile, or another worker was quicker
        run.tell(session, done=added, skipped=skipped, failed=len(failures))
