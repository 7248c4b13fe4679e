"""The jobs that withdraw, restore and erase a patent. Each may be run twice, or be killed and run again."""

from collections.abc import Callable, Iterable
from typing import Any

from obstore.store import ObjectStore

from linework_api.ingest import writer
from linework_api.removals import service
from linework_core import corpus, encoders, erasures, store
from linework_core.bounded import Decoded
from linework_core.db import transaction
from linework_core.errors import Conflict, NotFound, UnreadableImage
from linework_core.jobs import service as jobs
from linework_core.jobs.runner import Run
from linework_core.tables import Erasure

Decode = Callable[[bytes], Decoded]  # raises UnreadableImage


def withdraw(run: Run) -> dict[str, Any]:
    """Close a patent's open version. Doing it twice changes nothing."""
    patent_id = run.params["withdraw"]
    run.start_counting(total=1)
    with run.transaction() as session:
        corpus.lock(session)
        patent = corpus.open_patent(session, patent_id)
        if patent is None:
            run.tell(session, skipped=1)
            return {"withdrawn": None}
        snapshot = corpus.next_snapshot(session)
        corpus.close_patent(session, patent, snapshot)
        run.tell(session, done=1)
    return {"withdrawn": patent_id, "snapshot": snapshot}


def restore(run: Run) -> dict[str, Any]:
    """Write the last version of a withdrawn patent anew: later searches find it again. Raises NotFound, Erased."""
    patent_id = run.params["restore"]
    run.start_counting(total=1)
    with run.transaction() as session:
        corpus.lock(session)
        try:
            withdrawn = service.withdrawn_version(session, patent_id)
        except Conflict:  # somebody was quicker
            run.tell(session, skipped=1)
            return {"restored": None}
        snapshot = corpus.next_snapshot(session)
        writer.restore_version(session, withdrawn, run.job_id, snapshot)
        for encoder in encoders.current(session):
            jobs.ensure_embed_job(session, encoder)
        run.tell(session, done=1)
    return {"restored": patent_id, "snapshot": snapshot}


def erase(run: Run, objects: ObjectStore, decode: Decode) -> dict[str, Any]:
    """Delete a patent with all that shows it, and leave a tombstone. Raises NotFound, Unavailable.

    First the rows, in one transaction with the tombstone, which remembers the pictures; then these.
    """
    params = run.params
    patent_id = params["erase"]
    run.start_counting(total=1)
    with transaction(run.engine) as session:
        sheets = service.originals_of_sheets(session, patent_id)
    derivatives = _derivatives(objects, sheets, decode)
    with run.transaction() as session:
        corpus.lock(session)
        erasure = erasures.in_force(session, [patent_id]).get(patent_id)
        if erasure is None:
            service.newest_version(session, patent_id)
            tombstone = Erasure(
                patent_id=patent_id, reason=params["reason"], erased_by=params["by"], job_id=run.job_id,
                snapshot=corpus.next_snapshot(session), derivatives=derivatives,
            )  # fmt: skip
            counts = service.erase(session, tombstone)
            erasure, result = tombstone, {"erased": patent_id, "snapshot": tombstone.snapshot, **counts}
            session.execute(run.mine().values(result=result))
            run.result = result
        erasure_id = erasure.id
    with run.transaction() as session:
        deleted = erasures.delete_pictures(session, objects, erasure_id)
        run.tell(session, done=1)
    return {**run.result, "pictures": deleted}


def _derivatives(objects: ObjectStore, originals: Iterable[str], decode: Decode) -> list[str]:
    """The derivatives of whole sheets. Earlier releases stored them where no row names them: of front pages, say."""
    hashes = set()
    for original in originals:
        try:
            hashes.add(decode(store.get(objects, store.original_key(original))).hash)
        except (NotFound, UnreadableImage):
            continue
    return sorted(hashes)
