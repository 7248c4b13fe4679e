"""A budget is never exceeded: not by answers that cannot be used, not by many calls at once, not over kills."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from linework_core import db
from linework_core.queues import nudge
from linework_core.settings import Settings
from linework_core.tables import LlmCall
from tests.enricher.corpus import add_design, order, provider_of, read, run
from tests.enricher.stub import Stub
from tests.waiting import PATIENCE, until
from tests.workers import workers

TOKENS = 20_000


@pytest.fixture(autouse=True)
def corpus(engine: Engine) -> None:
    with db.transaction(engine) as session:
        for number in range(60):
            add_design(session, None, f"USD{number:07}", named=f"desk lamp of kind {number}", drawings=1)


def tokens(engine: Engine, *conditions: object) -> int:
    """Tokens of all calls that were answered, usable or not."""
    with Session(engine) as session:
        statement = select(func.sum(LlmCall.tokens_in + LlmCall.tokens_out)).where(*conditions)  # type: ignore[arg-type]
        return int(session.scalar(statement) or 0)


@pytest.mark.parametrize("fault", ["refusal", "empty", "10mb"])
def test_answers_that_cannot_be_used_are_paid_for_within_the_budget(engine: Engine, stub: Stub, fault: str) -> None:
    stub.fail_where(lambda body: fault)
    job = run(engine, order(engine, budget={"tokens": TOKENS}))
    assert job.result is not None
    assert (job.state, job.result["stopped"]) == ("succeeded", "budget"), job.error
    booked = job.result["tokens_in"] + job.result["tokens_out"]
    assert 0 < booked == tokens(engine) <= TOKENS


def test_two_workers_with_a_job_each_stay_within_the_budget_of_each(engine: Engine, stub: Stub) -> None:
    stub.latency = 0.02
    stub.fail_where(lambda body: "refusal" if "kind 1" in str(body) else None)
    jobs = [order(engine, budget={"tokens": TOKENS}) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        ended = [one.result(PATIENCE) for one in [threads.submit(run, engine, job_id) for job_id in jobs]]
    for job in ended:
        assert job.result is not None
        assert job.state == "succeeded", job.error
        booked = job.result["tokens_in"] + job.result["tokens_out"]
        assert booked == tokens(engine, LlmCall.job_id == job.id) <= TOKENS


def test_what_a_killed_worker_has_spent_counts_against_the_budget(
    engine: Engine, settings: Settings, stub: Stub
) -> None:
    stub.latency = 0.1
    stub.always = "refusal"
    job_id = order(engine, budget={"tokens": TOKENS})
    with workers("linework_enricher.worker", "enrich", LLM=provider_of(stub.url, concurrency=4)) as start:
        for kill in range(2):
            worker = start()
            answered = 6 * (kill + 1)
            until(lambda answered=answered: _nudged(engine, job_id) and calls(engine) >= answered)
            worker.kill()
            worker.wait()
        start()
        until(lambda: _nudged(engine, job_id) and read(engine, job_id).state == "succeeded")
    job = read(engine, job_id)
    assert job.result is not None
    assert job.result["stopped"] == "budget"
    assert job.result["tokens_in"] + job.result["tokens_out"] == tokens(engine) <= TOKENS


def calls(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).where(LlmCall.answered_at.is_not(None))) or 0


def _nudged(engine: Engine, job_id: object) -> bool:
    nudge("enrich", job_id)  # type: ignore[arg-type]  # as the beat does once a lease has ended
    return True
