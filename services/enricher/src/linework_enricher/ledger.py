"""What a job has done and spent. It is written with the sets themselves, so that no kill makes the two differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from linework_core.db import transaction
from linework_core.jobs.runner import Run
from linework_core.tables import Job
from linework_enricher import enrichment, sets
from linework_enricher.calls import spent_before
from linework_enricher.recipe import Order
from linework_enricher.sets import Failure, NewSet

SPENT = ("calls", "cache_hits", "tokens_in", "tokens_out", "cost")


class Ledger:
    """One writer at a time. A job that was begun before goes on with what it had spent."""

    def __init__(self, run: Run, order: Order) -> None:
        """Counts the drawings. Raises Stopped."""
        self._run = run
        self._order = order
        self.stopped: str | None = None
        with run.transaction() as session:
            job = session.get_one(Job, run.job_id)
            before = job.result or {}
            self.spent = spent_before(session, run.job_id, before)
            behind = job.done + job.skipped + job.failed
            self.left = self._left(job)
            missing = enrichment.count_lacking(session, order)
            self._waiting = enrichment.count_waiting(session, order)
            run.tell(session, total=behind + (missing if self.left is None else min(missing, self.left)))
        self._written = replace(self.spent)
        self._described: int = before.get("described", 0)
        self._failed = Counter[str](before.get("failed", {}))

    def write(self, new: Sequence[NewSet], failures: Sequence[Failure]) -> None:
        """Sets, failures, progress and what was spent, all or nothing. Raises LeaseLost.

        A job that is being stopped may still write: what it holds has been paid for.
        """
        with transaction(self._run.engine) as session:
            spent = replace(self.spent)  # more may be spent while this is written
            added = sets.add(session, self._order.recipe, self._run.job_id, new)
            sets.record_failures(session, self._order.recipe, failures)
            described, failed = self._described + added, self._failed + Counter(one.reason for one in failures)
            self._keep(session, described, failed)
            self._run.tell(session, done=added, skipped=len(new) - added, failed=len(failures))
        self._described, self._failed, self._written = described, failed, spent

    @property
    def has_unwritten_spending(self) -> bool:
        """Answers that came to nothing cost money, too."""
        return self._written != self.spent

    def close(self) -> dict[str, Any]:
        """The job's result. All that was found to do has been done, unless a budget stopped it."""
        with self._run.transaction() as session:
            if self.stopped is None:
                done = select(Job.done + Job.skipped + Job.failed).where(Job.id == self._run.job_id)
                self._run.tell(session, total=session.scalars(done).one())
            self._keep(session, self._described, self._failed)
        return self._result(self._described, self._failed)

    def _left(self, job: Job) -> int | None:
        """How many drawings the budget leaves; those that failed count, too, or bad ones would be tried without end."""
        most = self._order.budget.drawings
        return None if most is None else max(0, most - job.done - job.failed)

    def _keep(self, session: Session, described: int, failed: Counter[str]) -> None:
        kept = update(Job).where(Job.id == self._run.job_id).values(result=self._result(described, failed))
        session.execute(kept, execution_options={"synchronize_session": False})

    def _result(self, described: int, failed: Counter[str]) -> dict[str, Any]:
        return {
            "described": described,
            **{name: getattr(self.spent, name) for name in SPENT},
            "cost": round(self.spent.cost, 9),
            "failed": dict(failed),
            "waiting": self._waiting,  # failed in earlier jobs, and not yet due to be tried again
            "stopped": self.stopped,
            "recipe": self._order.recipe.id,
        }
