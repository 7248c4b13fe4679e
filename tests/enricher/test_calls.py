"""The same call is never sent twice: not by two processes, nor after a restart, nor where the model declined."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text, update

from linework_core.db import make_engine, transaction
from linework_core.tables import LlmCall
from linework_enricher.calls import Answered, Calls
from linework_enricher.chat import ChatRequest
from linework_enricher.errors import ProviderDown, Refused, Unusable
from linework_enricher.provider import Provider
from tests.enricher.rig import KEY, asking, provided, until
from tests.enricher.stub import Stub
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio

WORKER = """
import asyncio, json, sys
from linework_core.db import make_engine
from linework_enricher.calls import Calls
from tests.enricher.rig import asking, provided

async def main(database, redis, url, count, claim_s):
    calls = Calls(make_engine(database), claim_s=claim_s)
    async with provided(url, redis, concurrency=8) as provider:
        async def ask(number):
            return await calls.ask(provider, asking(f"chair {number}"), purpose="describe", prompt="p")
        print("started", flush=True)
        answers = await asyncio.gather(*map(ask, range(count)))
    print(json.dumps([(answer.cached, answer.text) for answer in answers]))

asyncio.run(main(*json.loads(sys.argv[1])))
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


async def ask(calls: Calls, provider: Provider, request: ChatRequest) -> Answered:
    return await calls.ask(provider, request, purpose="describe", prompt="version")


def worker(
    database_url: str, redis_url: str, stub: Stub, *, count: int, claim_s: float = 2.0
) -> "subprocess.Popen[str]":
    arguments = json.dumps([database_url, redis_url, stub.url, count, claim_s])
    return subprocess.Popen([sys.executable, "-c", WORKER, arguments], stdout=subprocess.PIPE, text=True)


def answers_of(process: "subprocess.Popen[str]") -> list[tuple[bool, str]]:
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return [(cached, said) for cached, said in json.loads(out.splitlines()[-1])]


async def test_the_second_to_ask_gets_the_first_answer_for_nothing(stub: Stub, redis_url: str, engine: Engine) -> None:
    async with provided(stub.url, redis_url, price_in=1.0, price_out=1.0) as provider:
        first = await ask(Calls(engine), provider, asking())
        again = await ask(Calls(engine), provider, asking())  # as after a restart
    assert (first.cached, again.cached) == (False, True)
    assert first.text == again.text
    assert first.cost > 0
    assert len(stub.log) == 1


async def test_the_row_holds_provenance_and_cost_and_no_key(stub: Stub, redis_url: str, engine: Engine) -> None:
    async with provided(stub.url, redis_url, price_in=1.0, price_out=1.0) as provider:
        answer = await ask(Calls(engine), provider, asking())
    with transaction(engine) as session:
        row = session.scalars(select(LlmCall)).one()
        assert row.key == answer.key
        assert (row.purpose, row.model, row.prompt, row.provider_url) == ("describe", "stub-1", "version", stub.url)
        assert float(row.cost or 0) == pytest.approx((answer.tokens_in + answer.tokens_out) / 1e6)
        assert row.answered_at is not None
        assert row.claimed_by is None
        whole = session.execute(text("SELECT llm_calls::text FROM llm_calls")).scalar_one()
    assert KEY not in whole


@pytest.mark.parametrize(
    "other",
    [
        asking("chair"),
        asking(images=(b"another picture",)),
        asking(max_tokens=100),
        asking(temperature=0.5),
        asking(seed=1),
        asking(schema=None),
    ],
    ids=["words", "picture", "length", "temperature", "seed", "schema"],
)
def test_a_call_that_differs_in_anything_is_another_call(other: ChatRequest) -> None:
    request = asking(images=(b"picture",))
    assert other.key("http://a/v1", "m") != request.key("http://a/v1", "m")
    assert request.key("http://a/v1", "m") == asking(images=(b"picture",)).key("http://a/v1", "m")
    assert request.key("http://b/v1", "m") != request.key("http://a/v1", "m")
    assert request.key("http://a/v1", "n") != request.key("http://a/v1", "m")


async def test_those_who_ask_at_once_share_one_call(stub: Stub, redis_url: str, engine: Engine) -> None:
    stub.latency = 0.1
    calls = Calls(engine)
    async with provided(stub.url, redis_url) as provider:
        answers = await asyncio.gather(*(ask(calls, provider, asking()) for _ in range(20)))
    assert Counter(answer.cached for answer in answers) == {True: 19, False: 1}
    assert len(stub.log) == 1


def test_two_processes_send_each_call_once(stub: Stub, redis_url: str, database_url: str) -> None:
    stub.latency = 0.05
    workers = [worker(database_url, redis_url, stub, count=40) for _ in range(2)]
    one, other = (answers_of(process) for process in workers)
    assert [said for _, said in one] == [said for _, said in other]
    assert sum(not cached for cached, _ in one + other) == 40
    assert len(stub.log) == 40
    assert max(Counter(call.prompt for call in stub.log).values()) == 1


def test_a_worker_killed_in_its_calls_costs_these_calls_only(stub: Stub, redis_url: str, database_url: str) -> None:
    stub.latency = 0.2
    killed = worker(database_url, redis_url, stub, count=40)
    deadline = time.monotonic() + PATIENCE
    while len(stub.answered) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert stub.answered, "it was killed before its first call"
    answers = answers_of(worker(database_url, redis_url, stub, count=40))
    assert len(answers) == 40
    assert sum(cached for cached, _ in answers) > 0
    assert len(stub.log) <= 40 + 8  # needed, and in flight when it was killed


async def test_a_call_that_takes_long_keeps_its_claim(stub: Stub, redis_url: str, engine: Engine) -> None:
    stub.latency = 2.0
    async with provided(stub.url, redis_url) as provider:
        slow, eager = Calls(engine, claim_s=0.6), Calls(engine, claim_s=0.6)
        first = asyncio.create_task(ask(slow, provider, asking()))
        await asyncio.sleep(0.3)
        second = await ask(eager, provider, asking())
        await first
    assert second.cached
    assert len(stub.log) == 1


async def test_a_call_that_failed_may_be_made_by_the_next_at_once(stub: Stub, redis_url: str, engine: Engine) -> None:
    stub.fail("500")
    calls = Calls(engine, claim_s=600)
    async with provided(stub.url, redis_url, tries=1) as provider:
        with pytest.raises(Exception, match="500"):
            await ask(calls, provider, asking())
        assert (await ask(calls, provider, asking())).cached is False


async def test_a_refusal_is_paid_for_once(stub: Stub, redis_url: str, engine: Engine) -> None:
    stub.always = "refusal"
    told: list[Unusable] = []
    async with provided(stub.url, redis_url) as provider:
        for _ in range(3):
            with pytest.raises(Refused) as raised:
                await ask(Calls(engine), provider, asking())
            told.append(raised.value)
    assert len(stub.log) == 1
    assert [error.tokens_in > 0 for error in told] == [True, False, False]


async def test_the_first_answer_stays_where_two_were_made(stub: Stub, redis_url: str, engine: Engine) -> None:
    stub.latency = 0.5
    async with provided(stub.url, redis_url) as provider:
        asked = asyncio.create_task(ask(Calls(engine), provider, asking()))
        await asyncio.sleep(0.25)
        with transaction(engine) as session:  # another worker took over a claim that it held to be dead
            values = {"answer": "theirs", "answered_at": text("now()"), "tokens_in": 1, "tokens_out": 1}
            session.execute(update(LlmCall).values(**values))
        assert (await asked).text == "theirs"


async def test_an_answer_is_kept_while_postgres_is_away(
    stub: Stub, redis_url: str, engine: Engine, database_url: str
) -> None:
    stub.latency = 0.5
    async with provided(stub.url, redis_url) as provider:
        asked = asyncio.create_task(ask(Calls(engine), provider, asking()))
        await until(lambda: stub.in_flight)
        name = engine.url.database
        admin = make_engine(engine.url.set(database="postgres").render_as_string(hide_password=False))
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"), {"n": name}
            )
            await asyncio.sleep(1.5)
            assert stub.answered
            assert not asked.done()
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        admin.dispose()
        assert (await asked).cached is False
        assert (await ask(Calls(engine), provider, asking())).cached
    assert len(stub.log) == 1


async def test_a_provider_that_stays_down_leaves_no_claim(redis_url: str, engine: Engine) -> None:
    async with provided("http://127.0.0.1:9/v1", redis_url, patience_s=0.3, tries=50) as provider:
        with pytest.raises(ProviderDown):
            await ask(Calls(engine), provider, asking())
    with transaction(engine) as session:
        [free] = session.scalars(select(LlmCall.claimed_until <= text("clock_timestamp()")))
    assert free
