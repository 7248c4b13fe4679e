"""Titles of clusters: asked for over the API, written by the enricher with a model over real HTTP, read with them."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core import store
from linework_core.imaging import derivative_hash, encode_png
from linework_core.jobs import runner
from linework_core.settings import Settings, get_settings
from linework_core.tables import ClusterTitle, Drawing, Encoder, Job
from linework_enricher.job import Enricher
from tests.api.conftest import Design, as_caller, load, look, problem_of, require_keys, unit
from tests.enricher.stub import Stub, serving_stub

SECRET = "sk-cluster-0123456789"
GROUPS = ("desk lamp", "office chair")
Configure = Callable[..., None]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving_stub() as stub:
        yield stub


@pytest.fixture
def configure(environment: Settings, monkeypatch: pytest.MonkeyPatch, stub: Stub) -> Configure:
    """Sets the models that are there; both are the stub's."""

    def set_models(*names: str, **told: Any) -> None:
        for name in ("LLM", "CAPTIONER"):
            monkeypatch.delenv(name, raising=False)
        for name in names:
            model = {"url": stub.url, "model": f"stub-{name.lower()}", "timeout_s": 5, "price_in": 1, "price_out": 2}
            monkeypatch.setenv(name, json.dumps(model | told))
            monkeypatch.setenv(f"{name}_API_KEY", SECRET)
        get_settings.cache_clear()

    set_models("LLM", "CAPTIONER")
    return set_models


@pytest.fixture
def client(configure: Configure, session: Session, encoder: Encoder) -> Iterator[TestClient]:
    """A gateway over lamps and chairs, twelve drawings each, every one with a picture of its own."""
    designs = [
        Design(f"USD00000{group}{number}", [unit(group)] * 2, title=title.capitalize())
        for group, title in enumerate(GROUPS, start=1)
        for number in range(6)
    ]
    load(session, encoder, designs)
    objects = store.get_store()
    for drawing in session.scalars(select(Drawing)):
        picture = Image.new("L", (40, 30), drawing.row_id)
        drawing.derivative = derivative_hash(picture)
        store.put_once(objects, store.derivative_key(drawing.derivative), encode_png(picture))
    session.commit()
    with TestClient(create_app(), raise_server_exceptions=False) as opened:
        yield opened


def search(client: TestClient, **params: Any) -> str:
    asked = {"limit": 100} | ({} if "drawing" in params else {"q": "lamp"}) | params
    answer = client.get("/search", params=asked)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["search_id"])


def clusters_of(client: TestClient, search_id: str, **params: Any) -> list[dict[str, Any]]:
    found = client.get(f"/searches/{search_id}/clusters", params={"k": 2} | params).json()["clusters"]
    return list(found)


def ask(client: TestClient, search_id: str, *, headers: dict[str, str] | None = None, **params: Any) -> Any:
    return client.post(f"/searches/{search_id}/clusters/titles", params={"k": 2} | params, headers=headers)


def title(client: TestClient, engine: Engine, session: Session, search_id: str, **params: Any) -> Job:
    """Ask for titles, let the enricher work here, and return how the job ended."""
    answer = ask(client, search_id, **params)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    job_id = UUID(answer.json()["id"])
    runner.run_job(job_id, Enricher(get_settings(), store.get_store()), engine=engine)
    return look(session, job_id)


def pictures_in(call: Any) -> int:
    return str(call.prompt).count("data:image/png;base64")


def test_a_model_that_sees_five_pictures_names_each_cluster(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    searched = search(client, locarno="14-02")
    assert {cluster["title"] for cluster in clusters_of(client, searched)} == {None}
    job = title(client, engine, session, searched, provider="openai")
    assert (job.state, job.total, job.done, job.failed) == ("succeeded", 2, 2, 0), job.error
    assert stub.calls_by_purpose == {"title": 2}
    for call in stub.log:
        assert pictures_in(call) == 5
        assert '\\"words\\": \\"lamp\\"' in call.prompt
        assert "14-02" in call.prompt
        assert "USD0000" not in call.prompt
    named = clusters_of(client, searched)
    assert all(cluster["title"].startswith("Designs for a") and cluster["summary"] for cluster in named)
    kept = session.scalars(select(ClusterTitle)).all()
    assert {(one.provenance["model"], one.provenance["pictures"]) for one in kept} == {("stub-captioner", True)}
    assert job.result is not None
    assert sum(one.provenance["cost"] for one in kept) == pytest.approx(job.result["cost"])
    assert job.result["cost"] > 0


def test_the_same_clusters_are_named_once_whoever_asks(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    first, second = search(client), search(client)
    title(client, engine, session, first, provider="openai")
    again = title(client, engine, session, second, provider="openai")
    assert (again.done, again.skipped, len(stub.log)) == (0, 2, 2)
    assert [one["title"] for one in clusters_of(client, first)] == [one["title"] for one in clusters_of(client, second)]


def test_another_query_is_another_context(client: TestClient, engine: Engine, session: Session, stub: Stub) -> None:
    title(client, engine, session, search(client), provider="openai")
    other = search(client, q="chair")
    assert {cluster["title"] for cluster in clusters_of(client, other)} == {None}
    assert title(client, engine, session, other, provider="openai").done == 2
    assert len(stub.log) == 4


def test_a_query_by_drawing_tells_its_title_and_no_number(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    title(client, engine, session, search(client, drawing="USD0000010-S_1"), provider="openai")
    assert stub.log
    for call in stub.log:
        assert '\\"design\\": \\"Desk lamp\\"' in call.prompt
        assert "USD0000" not in call.prompt


def test_without_a_vision_model_the_language_model_names_them_unseen(
    configure: Configure, engine: Engine, session: Session, client: TestClient, stub: Stub
) -> None:
    configure("LLM")
    assert title(client, engine, session, search(client), provider="openai").done == 2
    assert {(call.body["model"], pictures_in(call)) for call in stub.log} == {("stub-llm", 0)}


def test_rules_name_them_without_a_call_and_a_model_may_do_better_later(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    searched = search(client)
    job = title(client, engine, session, searched)
    assert (job.state, job.done, stub.log) == ("succeeded", 2, [])
    titles = {cluster["title"] for cluster in clusters_of(client, searched)}
    assert titles == {"Desk lamps", "Office chairs"}
    title(client, engine, session, searched, provider="openai")
    assert all(cluster["title"].startswith("Designs for") for cluster in clusters_of(client, searched))
    session.rollback()
    assert session.scalar(select(func.count()).select_from(ClusterTitle)) == 2


def test_a_bad_answer_is_asked_again_with_its_pictures(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    stub.fail("prose", "echo", "wrong-schema")
    job = title(client, engine, session, search(client), provider="openai")
    assert (job.done, job.failed, len(stub.log)) == (2, 0, 5)
    assert {pictures_in(call) for call in stub.log} == {5}


def test_what_cannot_be_named_is_counted_with_its_reason_and_the_others_are_named(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    stub.fail_where(lambda body: "echo" if '"Office chair"' in str(body["messages"]) else None)
    searched = search(client)
    job = title(client, engine, session, searched, provider="openai")
    assert job.result is not None
    assert (job.state, job.done, job.failed) == ("succeeded", 1, 1)
    assert list(job.result["failed"]) == ["answer-markup"]
    assert sorted(cluster["title"] is None for cluster in clusters_of(client, searched)) == [False, True]


def test_a_provider_that_refuses_the_key_fails_the_job_and_does_not_tell_it(
    client: TestClient, engine: Engine, session: Session, stub: Stub
) -> None:
    stub.always = "401"
    job = title(client, engine, session, search(client), provider="openai")
    assert (job.state, (job.error or {})["type"]) == ("failed", "provider-rejected")
    assert SECRET not in json.dumps([job.error, job.params, job.result])


def test_a_picture_that_is_missing_is_a_reason(client: TestClient, engine: Engine, session: Session) -> None:
    for drawing in session.scalars(select(Drawing)):
        drawing.derivative = f"{drawing.row_id:064x}"
    session.commit()
    job = title(client, engine, session, search(client), provider="openai")
    assert (job.state, (job.result or {})["failed"]) == ("succeeded", {"derivative-missing": 2})


def test_nothing_found_is_nothing_to_name(client: TestClient, engine: Engine, session: Session) -> None:
    job = title(client, engine, session, search(client, before="1900-01-01"), provider="openai")
    assert (job.state, job.total, job.done) == ("succeeded", 0, 0)


def test_the_same_request_with_its_key_gets_the_same_job(client: TestClient, session: Session) -> None:
    searched, key = search(client), {"Idempotency-Key": "t-1"}
    first, second = ask(client, searched, headers=key), ask(client, searched, headers=key)
    assert first.json() == second.json()
    problem_of(ask(client, searched, headers=key, top=5), 409, "conflict")
    assert session.scalar(select(func.count()).select_from(Job).where(Job.kind == "enrich")) == 1


def test_a_model_that_is_not_configured_is_refused(configure: Configure, client: TestClient) -> None:
    searched = search(client)
    configure()
    with TestClient(create_app()) as bare:
        assert "CAPTIONER" in problem_of(ask(bare, searched, provider="openai"), 422, "invalid-request")["detail"]


@pytest.mark.parametrize("params", [{"k": 0}, {"k": 51}, {"top": 0}, {"provider": "anthropic"}, {"seed": 1}], ids=str)
def test_what_cannot_be_obeyed_is_refused(client: TestClient, params: dict[str, Any]) -> None:
    problem_of(ask(client, search(client), **params), 422, "invalid-request")


def test_only_who_searched_has_it_named_and_only_who_may_enrich(
    monkeypatch: pytest.MonkeyPatch, client: TestClient
) -> None:
    require_keys(monkeypatch, anna=["search", "enrich"], bert=["search", "enrich"], carl=["search"], chief=["admin"])
    with TestClient(create_app()) as keyed:
        asked = keyed.get("/search", params={"q": "lamp"}, headers=as_caller("anna")).json()["search_id"]
        statuses = [
            ask(keyed, asked, headers=as_caller(name)).status_code for name in ("anna", "bert", "carl", "chief")
        ]
    assert statuses == [202, 404, 403, 202]
