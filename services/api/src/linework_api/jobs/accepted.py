"""The 202 that every job-making route answers, and its Idempotency-Key."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api.auth import Caller
from linework_api.ingest.uploads import UploadReader
from linework_api.state import Resources
from linework_core.db import transaction
from linework_core.errors import Conflict
from linework_core.http import problems
from linework_core.jobs.service import JobView
from linework_core.tables import IdempotencyKey, Job

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Sent again with the same request, it gets the same job.",
    ),
]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job, queued. `Location` is its address.",
        "headers": {"Location": {"description": "/jobs/{id}", "schema": {"type": "string"}}},
    },
    **problems(400, 401, 403, 409, 413, 415, 422, 503),
}


def accept(
    session: Session,
    response: Response,
    caller: Caller,
    key: str | None,
    request: Any,
    make: Callable[[], Job],
) -> JobView:
    """Make the job, or find the one that this Idempotency-Key made before, and set `Location`.

    `request` is anything JSON that tells requests apart. Raises Conflict for a key that came with another.
    """
    job = make() if key is None else _once(session, caller, key, request, make)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobView.of(job)


def accept_now(
    resources: Resources,
    response: Response,
    caller: Caller,
    key: str | None,
    request: Any,
    make: Callable[[Session], Job],
) -> tuple[JobView, bool]:
    """`accept` in a transaction of its own: the job, and whether it was made now."""
    with transaction(resources.engine) as session:
        made: list[Job] = []

        def make_now() -> Job:
            made.append(make(session))
            return made[0]

        return accept(session, response, caller, key, request, make_now), bool(made)


async def accept_upload(
    reader: UploadReader,
    resources: Resources,
    response: Response,
    caller: Caller,
    *request: Any,
) -> JobView:
    """`accept_now` for a job that works on an upload. Where none was made now, the upload is not kept."""
    made = False
    try:
        make = partial(accept_now, resources, response, caller, *request)
        job, made = await resources.database.run(caller.name, make, patient=True)
    finally:
        if not made:  # the request failed, or came again and has its job and its upload already
            await run_in_threadpool(reader.discard)
    return job


def _once(session: Session, caller: Caller, key: str, request: Any, make: Callable[[], Job]) -> Job:
    digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    # two requests with one key that come together: the second waits here until the first has committed
    lock = func.hashtextextended(f"{caller.name}\n{key}", 0)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    known = session.get(IdempotencyKey, (caller.name, key))
    if known is None:
        job = make()
        session.add(IdempotencyKey(caller=caller.name, key=key, request=digest, job_id=job.id))
        return job
    if known.request != digest:
        raise Conflict("This Idempotency-Key came with another request before.")
    return session.get_one(Job, known.job_id)
