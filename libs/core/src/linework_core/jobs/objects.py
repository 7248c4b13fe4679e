"""The objects that only one job uses: its uploads, the state of a training. They go once the job's end is committed.

Before that they must stay: a worker that dies in between is followed by another, which reads them. What is left
behind by one that dies just after, `linework_core.sweep` finds.
"""

from typing import Any
from uuid import UUID

import structlog

from linework_core import store

log = structlog.get_logger()
UPLOADS, TRAININGS = "uploads/", "trainings/"  # what their keys begin with


def training_state(job_id: UUID) -> str:
    """Where a training's state lies while it is under way."""
    return f"{TRAININGS}{job_id}/state"


def keys_of(job_id: UUID, kind: str, params: dict[str, Any]) -> list[str]:
    """The keys of the objects that a job uses and no other. They may not be there."""
    uploads = [*params.get("uploads", {}).values(), *filter(None, [params.get("upload")])]
    return [upload["key"] for upload in uploads] + ([training_state(job_id)] if kind == "train" else [])


def discard(job_id: UUID, kind: str, params: dict[str, Any]) -> None:
    """Delete them, after the commit of the job's end. What a store does not delete now is left to the sweep."""
    for key in keys_of(job_id, kind, params):
        try:
            store.delete(store.get_store(), key)
        except store.FAILURES as error:
            log.warning("object_not_deleted", key=key, error=str(error).splitlines()[0])
