"""What an evaluation's job is told, and what is read of its outcome."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.corpus import current_snapshot
from linework_core.errors import NotFound, Unprocessable
from linework_core.evaluations import CROSS_MODAL, EvaluationRequest
from linework_core.tables import Evaluation


def job_params(session: Session, wanted: EvaluationRequest) -> dict[str, Any]:
    """The request with its encoder and its snapshot named, so that the job means the same whenever it runs.

    Raises NotFound, Gone, Unavailable while no index is active, and Unprocessable for what cannot be evaluated.
    """
    encoder = encoders.find_kept(session, wanted.encoder) if wanted.encoder else encoders.active(session)
    if wanted.protocol in CROSS_MODAL and not encoder.has_text:
        raise Unprocessable(f"'{wanted.protocol}' needs an encoder with a text tower; {encoder.encoder_id} has none.")
    newest = current_snapshot(session)
    if wanted.snapshot is not None and wanted.snapshot > newest:
        raise Unprocessable(f"There is no snapshot {wanted.snapshot} yet; the newest is {newest}.")
    snapshot = newest if wanted.snapshot is None else wanted.snapshot
    named = wanted.model_copy(update={"encoder": encoder.encoder_id, "snapshot": snapshot})
    return named.model_dump(mode="json")


def find(session: Session, evaluation_id: UUID) -> Evaluation:
    """Raises NotFound, also for an evaluation that is still being made."""
    found = session.get(Evaluation, evaluation_id)
    if found is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.")
    return found


def artefact(evaluation: Evaluation, name: str) -> str:
    """The SHA-256 of what an evaluation made under this name. Raises NotFound."""
    if name not in evaluation.artefacts:
        raise NotFound(f"This evaluation has no {name}; it has {', '.join(sorted(evaluation.artefacts))}.")
    return str(evaluation.artefacts[name])
