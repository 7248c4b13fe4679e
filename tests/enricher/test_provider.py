"""The client against a real server on loopback: what it makes of each fault, and what it never does."""

import asyncio
import base64
import io
import json
import socket
import time
import traceback
from contextlib import suppress

import pytest
import structlog
from PIL import Image

from linework_enricher.circuit import Circuit
from linework_enricher.errors import (
    BadAnswer,
    EmptyAnswer,
    ProviderDown,
    ProviderError,
    RateLimited,
    Refused,
    Rejected,
    StaysDown,
    TimedOut,
    TooLarge,
    Unusable,
)
from tests.enricher.rig import KEY, asking, provided, until
from tests.enricher.stub import Fault, Stub

pytestmark = pytest.mark.anyio


def png() -> bytes:
    data = io.BytesIO()
    Image.new("L", (8, 8), 255).save(data, "PNG")
    return data.getvalue()


async def test_an_answer_comes_with_its_tokens_and_latency(stub: Stub, redis_url: str) -> None:
    async with provided(stub.url, redis_url, price_in=1.0, price_out=2.0) as provider:
        reply = await provider.chat(asking())
    assert len(json.loads(reply.text)["texts"]) == 5
    assert reply.tokens_in > 0
    assert reply.tokens_out > 0
    assert reply.model == "stub-1"
    assert provider.cost(1_000_000, 500_000) == 2.0


async def test_the_request_carries_picture_schema_key_and_seed(stub: Stub, redis_url: str) -> None:
    async with provided(stub.url, redis_url) as provider:
        await provider.chat(asking(images=(png(),), seed=7))
    [call] = stub.log
    assert call.authorization == f"Bearer {KEY}"
    assert call.body["seed"] == 7
    assert call.body["response_format"]["json_schema"]["schema"]["properties"].keys() == {"texts"}
    text, picture = call.body["messages"][-1]["content"]
    assert text["type"] == "text"
    sent = picture["image_url"]["url"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(sent) == png()


async def test_text_that_is_no_unicode_can_be_asked_about(stub: Stub, redis_url: str) -> None:
    async with provided(stub.url, redis_url) as provider:
        assert (await provider.chat(asking("a \ud800 chair"))).text


TRANSIENT: list[tuple[Fault, type[ProviderError], str]] = [
    ("429", RateLimited, "provider-rate-limited"),
    ("429-retry-after", RateLimited, "provider-rate-limited"),
    ("500", ProviderDown, "provider-down"),
    ("503", ProviderDown, "provider-down"),
    ("timeout", TimedOut, "provider-timed-out"),
    ("cut", BadAnswer, "answer-cut-off"),
    ("not-json", BadAnswer, "answer-not-a-completion"),
    ("no-choices", BadAnswer, "answer-not-a-completion"),
]


@pytest.mark.parametrize(("fault", "error", "reason"), TRANSIENT)
async def test_what_may_get_better_is_asked_again(
    stub: Stub, redis_url: str, fault: Fault, error: type[ProviderError], reason: str
) -> None:
    stub.retry_after = "0.1"
    stub.fail(fault, fault)
    async with provided(stub.url, redis_url, timeout_s=0.5) as provider:
        assert (await provider.chat(asking())).text
    assert len(stub.log) == 3


@pytest.mark.parametrize(("fault", "error", "reason"), TRANSIENT)
async def test_what_does_not_get_better_is_given_up_with_its_reason(
    stub: Stub, redis_url: str, fault: Fault, error: type[ProviderError], reason: str
) -> None:
    stub.retry_after = "0.1"
    stub.always = fault
    async with provided(stub.url, redis_url, timeout_s=0.3, tries=3) as provider:
        with pytest.raises(error) as raised:
            await provider.chat(asking())
    assert raised.value.reason == reason
    assert len(stub.log) == 3


FINAL: list[tuple[Fault, type[ProviderError], str]] = [
    ("refusal", Refused, "model-refused"),
    ("empty", EmptyAnswer, "answer-empty"),
    ("10mb", TooLarge, "answer-too-large"),
    ("401", Rejected, "provider-rejected"),
    ("redirect", Rejected, "provider-rejected"),
    ("quota", Rejected, "provider-rejected"),
]


@pytest.mark.parametrize(("fault", "error", "reason"), FINAL)
async def test_what_cannot_get_better_is_asked_once(
    stub: Stub, redis_url: str, fault: Fault, error: type[ProviderError], reason: str
) -> None:
    stub.always = fault
    async with provided(stub.url, redis_url) as provider:
        with pytest.raises(error) as raised:
            await provider.chat(asking(schema=None))
    assert raised.value.reason == reason
    assert len(stub.log) == 1


@pytest.mark.parametrize("fault", ["401", "redirect", "quota"])
async def test_a_fault_of_the_account_says_that_it_hits_every_call(stub: Stub, redis_url: str, fault: Fault) -> None:
    stub.always = fault
    async with provided(stub.url, redis_url) as provider:
        with pytest.raises(Rejected) as raised:
            await provider.chat(asking())
    assert raised.value.every_call


@pytest.mark.parametrize("fault", ["wrong-schema", "prose", "echo"])
async def test_what_a_model_says_is_passed_on_as_it_is(stub: Stub, redis_url: str, fault: Fault) -> None:
    stub.always = fault
    async with provided(stub.url, redis_url) as provider:
        assert (await provider.chat(asking())).text
    assert len(stub.log) == 1


async def test_ten_megabytes_are_cut_off_at_the_limit(stub: Stub, redis_url: str) -> None:
    stub.fail("10mb", "10mb")
    async with provided(stub.url, redis_url, max_answer_bytes=50_000_000) as provider:
        assert len((await provider.chat(asking())).text) > 10_000_000
    async with provided(stub.url, redis_url, max_answer_bytes=100_000) as provider:
        with pytest.raises(TooLarge):
            await provider.chat(asking())


async def test_a_refusal_says_what_it_cost(stub: Stub, redis_url: str) -> None:
    stub.fail("refusal")
    async with provided(stub.url, redis_url) as provider:
        with pytest.raises(Unusable) as raised:
            await provider.chat(asking())
    assert raised.value.tokens_in > 0


async def test_tokens_are_estimated_where_the_server_does_not_count_them(stub: Stub, redis_url: str) -> None:
    stub.fail("no-usage")
    async with provided(stub.url, redis_url) as provider:
        reply = await provider.chat(asking())
    assert reply.tokens_in > 20
    assert reply.tokens_out > 20


async def test_an_answer_can_be_stored_whatever_it_holds(stub: Stub, redis_url: str) -> None:
    stub.fail("surrogates")
    async with provided(stub.url, redis_url) as provider:
        reply = await provider.chat(asking())
    assert "\0" not in reply.text
    assert "seat" in reply.text.encode().decode()
    assert len(stub.log) == 1


@pytest.mark.parametrize(("fault", "form"), [("no-json-schema", "json_object"), ("no-json-at-all", None)])
async def test_a_server_without_schemas_is_asked_in_words_and_remembered(
    stub: Stub, redis_url: str, fault: Fault, form: str | None
) -> None:
    stub.always = fault
    async with provided(stub.url, redis_url) as provider:
        assert "texts" in json.loads((await provider.chat(asking())).text)
        before = len(stub.log)
        await provider.chat(asking("chair"))
    assert len(stub.log) == before + 1
    last = stub.log[-1].body
    assert last.get("response_format", {}).get("type") == form
    assert '"texts"' in last["messages"][-1]["content"]


async def test_a_server_with_a_newer_name_for_the_token_limit_is_asked_by_it(stub: Stub, redis_url: str) -> None:
    stub.always = "max-completion-tokens"
    async with provided(stub.url, redis_url) as provider:
        await provider.chat(asking())
        await provider.chat(asking("chair"))
    assert [call.status for call in stub.log] == [400, 200, 200]
    assert stub.log[-1].body["response_format"]["type"] == "json_schema"


async def test_a_request_that_is_refused_in_every_form_spoils_nothing_for_the_next(stub: Stub, redis_url: str) -> None:
    async with provided(stub.url, redis_url) as provider:
        stub.fail("no-json-schema")  # then the server takes plain JSON, and refuses it in the second try
        stub.fail("no-json-at-all")
        stub.fail_where(lambda body: None)
        assert (await provider.chat(asking())).text
        assert stub.log[-1].body.get("response_format") is None


async def test_the_pause_that_a_server_asks_for_holds_for_every_call(stub: Stub, redis_url: str) -> None:
    stub.retry_after = "1"
    stub.fail("429-retry-after")
    async with provided(stub.url, redis_url) as one, provided(stub.url, redis_url) as other:
        began = time.time()
        first = asyncio.create_task(one.chat(asking()))
        await until(lambda: stub.log)
        await asyncio.sleep(0.1)
        await other.chat(asking("chair"))
        await first
    assert all(call.started >= began + 1 for call in stub.log[1:])
    assert len(stub.log) == 3


async def test_a_pause_longer_than_anyone_waits_is_told_at_once(stub: Stub, redis_url: str) -> None:
    stub.retry_after = "86400"
    stub.always = "429-retry-after"
    async with provided(stub.url, redis_url, patience_s=0.5) as provider:
        with pytest.raises(RateLimited) as raised:
            await provider.chat(asking())
    assert raised.value.retry_after == 86400
    assert len(stub.log) == 1


async def test_a_server_that_is_down_is_called_by_few_and_waited_for(stub: Stub, redis_url: str) -> None:
    stub.always = "500"
    async with provided(stub.url, redis_url, tries=10, concurrency=4) as provider:
        calls = [asyncio.create_task(provider.chat(asking(f"chair {number}"))) for number in range(20)]
        await asyncio.sleep(1.0)
        failed = len(stub.log)
        assert failed <= 5 + 4 + 4  # until it opened, those in flight then, and probes
        stub.always = None
        assert len(await asyncio.gather(*calls)) == 20
    assert len(stub.answered) == 20


async def test_nobody_waits_for_ever_for_a_server_that_is_down(redis_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with provided(url, redis_url, patience_s=0.5, tries=50) as provider:
            began = time.monotonic()
            with pytest.raises(ProviderDown) as raised:
                await provider.chat(asking())
    assert raised.value.reason == "provider-down"
    assert time.monotonic() - began < 30


async def test_only_one_probe_is_sent_through_an_open_circuit() -> None:
    now = 0.0
    circuit = Circuit("stub", failures=1, first_pause_s=10, clock=lambda: now)
    with suppress(ProviderDown):
        async with circuit.passage(1) as passage:
            passage.use()
            raise ProviderDown("down")
    assert circuit.is_open
    now = 10.0
    async with circuit.passage(0) as probe:
        assert probe.use()
        with pytest.raises(StaysDown):
            async with circuit.passage(0):
                pass
    assert not circuit.is_open


async def test_the_key_is_in_no_error_and_no_log(stub: Stub, redis_url: str) -> None:
    told = []
    with structlog.testing.capture_logs() as logs:
        for fault in ("401", "500", "cut", "not-json", "429", "redirect", "refusal"):
            stub.always = fault
            async with provided(stub.url, redis_url, tries=2) as provider:
                try:
                    await provider.chat(asking())
                except ProviderError as error:
                    told.append("".join(traceback.format_exception(error)) + repr(vars(error)))
        stub.always = "echo-key"
        async with provided(stub.url, redis_url) as provider:
            told.append((await provider.chat(asking())).text)
            told.append(repr(provider.__dict__["_client"].headers))
    assert len(told) == 9
    assert KEY not in "".join(told) + repr(logs)


async def test_a_key_that_no_header_can_carry_is_refused_unquoted(stub: Stub, redis_url: str) -> None:
    with pytest.raises(ValueError, match="characters") as raised:
        async with provided(stub.url, redis_url, key="sk-\u20ac-secret"):
            pass
    assert "secret" not in str(raised.value)
