"""POST /enrich: what is taken, what is refused, and what the enricher is told."""

import datetime as dt
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core.scope import Scope
from linework_core.settings import Settings, get_settings
from linework_core.tables import Encoder, Job
from tests.api.conftest import Design, as_caller, load, problem_of, require_keys

MODEL = json.dumps({"url": "http://127.0.0.1:9/v1", "model": "some-model"})


def enrich(client: TestClient, body: dict[str, Any] | None = None, **headers: str) -> Any:
    return client.post("/enrich", json=body or {}, headers=headers)


def params_of(session: Session, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    session.rollback()
    return session.get_one(Job, answer.json()["id"]).params


@pytest.fixture
def with_models(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A language model and a captioner are configured; nobody asks them here."""
    monkeypatch.setenv("LLM", MODEL)
    monkeypatch.setenv("CAPTIONER", MODEL)
    get_settings.cache_clear()


def test_nothing_named_is_everything_by_the_default_provider(client: TestClient, session: Session) -> None:
    answer = enrich(client)
    job = answer.json()
    assert (job["kind"], job["state"]) == ("enrich", "queued")
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert params_of(session, answer) == {
        "provider": "template",
        "model": None,
        "captioner": False,
        "count": 20,
        "languages": ["en"],
        "dry_run": False,
        "budget": {"drawings": None, "tokens": None, "money": None},
        "patents": [],
        "drawings": [],
        "scope": None,
    }


def test_all_that_is_asked_reaches_the_enricher(
    with_models: None, client: TestClient, session: Session, encoder: Encoder
) -> None:
    snapshot = load(session, encoder, [Design("USD0000001"), Design("USD0000002")])
    body = {
        "patents": ["USD0000001", "USD0000001"],
        "drawings": ["USD0000002-S_1"],
        "filter": {"before": "2019-05-01", "locarno": ["14"], "exclude": ["USD0000009"], "view": ["front"]},
        "provider": "openai",
        "model": "another-model",
        "captioner": True,
        "count": 5,
        "languages": ["en", "de"],
        "dry_run": True,
        "budget": {"drawings": 10, "tokens": 1000, "money": 0.5},
    }
    params = params_of(session, enrich(client, body))
    scope = Scope.from_json(params.pop("scope"))
    expected = {name: value for name, value in body.items() if name != "filter"}
    assert params == expected | {"patents": ["USD0000001"]}
    assert (scope.before, scope.locarno, scope.view) == (dt.date(2019, 5, 1), ("14",), ("front",))
    assert (scope.without, scope.snapshot) == (frozenset({"USD0000009"}), snapshot)


@pytest.mark.parametrize(
    "body",
    [
        {"patent": "USD0000001"},  # unknown fields
        {"filter": {"limit": 5}},
        {"budget": {"euros": 5}},
        {"provider": "anthropic"},
        {"count": 0},
        {"count": 51},
        {"count": "many"},
        {"languages": []},
        {"languages": ["English"]},
        {"patents": ["a\0b"]},
        {"drawings": ["x"] * 1001},
        {"budget": {"tokens": 0}},
        {"budget": {"money": -1}},
        {"filter": {"before": "self"}},
        {"filter": {"before": "2019-05"}},
        {"filter": {"after": "2020-01-01", "before": "2019-01-01"}},
        {"provider": "template", "captioner": True},
        {"provider": "template", "model": "some-model"},
        {"captioner": True},
        {"model": "some-model"},
        {"provider": "template", "languages": ["de"]},
        {"languages": ["fr", "de"]},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_obeyed_is_refused(client: TestClient, session: Session, body: dict[str, Any]) -> None:
    problem_of(enrich(client, body), 422, "invalid-request")
    assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_models_that_are_not_configured_are_refused_with_the_settings_name(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(create_app()) as client:
        assert "LLM" in problem_of(enrich(client, {"provider": "openai"}), 422, "invalid-request")["detail"]
    monkeypatch.setenv("LLM", MODEL)
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        assert enrich(client, {"provider": "openai"}).status_code == 202
        problem = problem_of(enrich(client, {"provider": "openai", "captioner": True}), 422, "invalid-request")
        assert "CAPTIONER" in problem["detail"]


def test_the_provider_of_the_settings_writes_where_none_is_named(
    with_models: None, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setenv("ENRICH_PROVIDER", "openai")
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        assert params_of(session, enrich(client, {"captioner": True}))["provider"] == "openai"
        assert params_of(session, enrich(client, {"provider": "template"}))["provider"] == "template"


def test_what_is_not_there_is_named(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001")])
    body = {"patents": ["USD0000001", "USD0000009"], "drawings": ["USD0000001-S_1"]}
    assert "USD0000009" in problem_of(enrich(client, body), 404, "not-found")["detail"]
    assert "USD0000001-S_2" in problem_of(enrich(client, {"drawings": ["USD0000001-S_2"]}), 404, "not-found")["detail"]


def test_the_same_request_with_its_key_gets_the_same_job(client: TestClient, session: Session) -> None:
    key = {"Idempotency-Key": "e-1"}
    first, second = enrich(client, {"count": 3}, **key), enrich(client, {"count": 3}, **key)
    assert first.json() == second.json()
    problem_of(enrich(client, {"count": 4}, **key), 409, "conflict")
    assert session.scalar(select(func.count()).select_from(Job)) == 1


def test_it_takes_the_scope_of_its_own(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    require_keys(monkeypatch, anna=["enrich"], bert=["search", "ingest", "train"])
    with TestClient(create_app()) as client:
        made = enrich(client, **as_caller("anna"))
        assert session.get_one(Job, made.json()["id"]).owner == "anna"
        problem_of(enrich(client, **as_caller("bert")), 403, "forbidden")
