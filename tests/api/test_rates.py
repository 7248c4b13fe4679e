"""How much a caller may ask: requests a minute, searches a day, money for models a month."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from limits.aio.storage.redis import redispy
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api import rates
from linework_api.app import create_app
from linework_core import db
from linework_core.settings import Settings
from linework_core.tables import Encoder, Job, LlmCall
from tests.api.conftest import Design, as_caller, give_key, load, problem_of, require_keys

Anna = Callable[..., TestClient]


@pytest.fixture
def anna(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Anna]:
    """A gateway at which anna's key has these limits."""
    opened: list[TestClient] = []

    def make(**limits: Any) -> TestClient:
        require_keys(monkeypatch, root=["admin"])
        with db.transaction() as session:
            give_key(session, "anna", ["search", "enrich"], **limits)
        client = TestClient(create_app(), raise_server_exceptions=False)
        client.headers.update(as_caller("anna"))
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def test_the_request_beyond_the_rate_is_told_when_to_come_again(anna: Anna) -> None:
    client = anna(rate_per_minute=3)
    assert [client.get("/corpus").status_code for _ in range(3)] == [200, 200, 200]
    refused = client.get("/corpus")
    problem_of(refused, 429, "too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/corpus", headers=as_caller("root")).status_code == 200
    assert client.get("/health/live").status_code == 200


def test_who_comes_again_when_told_to_is_served(anna: Anna, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    clock = SimpleNamespace(time=lambda: time.time() + passed[0], monotonic=time.monotonic)
    monkeypatch.setattr(redispy, "time", clock)
    monkeypatch.setattr(rates, "time", clock)
    client = anna(rate_per_minute=5)
    for _ in range(5):
        assert client.get("/corpus").status_code == 200
        passed[0] += 5
    refused = client.get("/corpus")
    passed[0] += 1
    assert client.get("/corpus").status_code == 429  # and counts for nothing
    passed[0] += int(refused.headers["retry-after"]) - 1
    assert client.get("/corpus").status_code == 200
    problem_of(client.get("/corpus"), 429, "too-many-requests")
    passed[0] += 60
    assert [client.get("/corpus").status_code for _ in range(5)] == [200] * 5


def test_the_rate_holds_over_all_gateways_and_all_keys_of_a_caller(anna: Anna) -> None:
    client, other = anna(rate_per_minute=2), anna(rate_per_minute=2)
    assert (client.get("/corpus").status_code, other.get("/corpus").status_code) == (200, 200)
    problem_of(other.get("/corpus"), 429, "too-many-requests")


def test_a_key_without_a_rate_has_the_settings(anna: Anna, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT_PER_MINUTE", "1")
    client = anna()
    assert client.get("/corpus").status_code == 200
    problem_of(client.get("/corpus"), 429, "too-many-requests")


def test_while_redis_is_away_nobody_is_refused_for_that(
    anna: Anna, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/none.sock?db=0")
    client = anna(rate_per_minute=1, searches_per_day=1)
    assert [client.get("/corpus").status_code for _ in range(3)] == [200, 200, 200]


def test_searches_beyond_the_days_quota_wait_for_the_next_day(anna: Anna, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001"), Design("USD0000002")])
    client = anna(searches_per_day=2)
    query = "/search?drawing=USD0000001-S_1"
    assert [client.get(query).status_code for _ in range(2)] == [200, 200]
    refused = client.get(query)
    problem_of(refused, 429, "quota-exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    problem_of(client.post("/search"), 429, "quota-exceeded")
    assert client.get("/corpus").status_code == 200


def test_a_quota_of_nothing_lets_nothing_through(anna: Anna) -> None:
    problem_of(anna(searches_per_day=0).get("/search?q=lamp"), 429, "quota-exceeded")


PRICED = '{"url": "http://127.0.0.1:9/v1", "model": "m", "price_in": 1.0, "price_out": 2.0}'
FREE = '{"url": "http://127.0.0.1:9/v1", "model": "m"}'


def asked(client: TestClient, **more: Any) -> Any:
    return client.post("/enrich", json={"provider": "openai", **more})


def money_of(session: Session, answer: Any) -> float | None:
    assert answer.status_code == 202, answer.text
    job = session.get_one(Job, answer.json()["id"])
    money: float | None = job.params["budget"]["money"]
    return money


def spent(session: Session, money: float, **more: Any) -> None:
    values = {
        "kind": "enrich",
        "owner": "anna",
        "state": "succeeded",
        "result": {"cost": money},
        "finished_at": func.now(),
    } | more
    session.add(Job(**values))
    session.commit()


def last_month() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=40)


def test_jobs_of_last_month_that_spend_this_month_count(
    anna: Anna, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM", PRICED)
    client = anna(llm_usd_per_month=Decimal(10))
    granted = {"budget": {"money": 4.0}}
    spent(session, 1.0, created_at=last_month(), state="running", params=granted, finished_at=None)
    spent(session, 0.5, created_at=last_month(), state="queued", params=granted, finished_at=None)
    spent(session, 1.25, created_at=last_month())  # ended today
    assert money_of(session, asked(client)) == 0.75


def test_what_a_killed_worker_could_not_write_down_counts(
    anna: Anna, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM", PRICED)
    client = anna(llm_usd_per_month=Decimal(10))
    spent(session, 1.0, state="cancelled")
    job = session.scalars(select(Job).where(Job.owner == "anna")).one()
    session.add_all(
        LlmCall(
            key=f"{n:064}", purpose="describe", provider_url="u", model="m", prompt="p", cost=Decimal(2), job_id=job.id
        )
        for n in range(3)
    )
    session.commit()
    assert money_of(session, asked(client)) == 4.0


def test_a_job_may_spend_what_its_caller_has_left_of_the_month(
    anna: Anna, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM", PRICED)
    client = anna(llm_usd_per_month=Decimal(10))
    spent(session, 2.5)
    spent(session, 90.0, owner="bert")
    spent(session, 90.0, params={"dry_run": True})
    spent(session, 90.0, created_at=last_month(), finished_at=last_month())
    assert money_of(session, asked(client, budget={"money": 3.0})) == 3.0
    assert money_of(session, asked(client, budget={"drawings": 5})) == 4.5  # less what the first may still spend
    refused = asked(client)
    problem_of(refused, 429, "quota-exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86_400
    assert client.post("/enrich", json={"provider": "template"}).status_code == 202
    assert asked(client, dry_run=True).status_code == 202


def test_a_model_without_a_price_takes_nothing_of_the_quota(
    anna: Anna, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM", FREE)
    client = anna(llm_usd_per_month=Decimal(0))
    assert money_of(session, asked(client)) is None


def test_a_caller_without_a_quota_asks_as_ever(anna: Anna, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM", PRICED)
    assert money_of(session, asked(anna())) is None


def test_the_limits_of_a_key_are_shown(anna: Anna) -> None:
    shown = anna(rate_per_minute=7).get("/keys", headers=as_caller("root")).json()["keys"]
    assert [key["rate_per_minute"] for key in shown if key["name"] == "anna"] == [7]
