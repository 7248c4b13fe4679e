"""POST /train: what is refused at once, and what its job is told."""

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_core.corpus import current_snapshot
from linework_core.tables import Encoder
from tests.api.conftest import Design, load, look, problem_of


def test_a_training_is_accepted_as_a_job_on_the_snapshot_of_now(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001")])
    wanted = {"recipe": "linework", "overrides": {"stages": {"main": {"epochs": 3}}}, "before": "2019-05-01"}
    answer = client.post("/train", json=wanted)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["kind"], job["state"]) == ("train", "queued")
    params = look(session, UUID(job["id"])).params
    assert params["snapshot"] == current_snapshot(session)
    assert {name: params[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("wanted", "status", "kind", "told"),
    [
        ({"recipe": "nonesuch"}, 422, "unknown-recipe", "linework"),
        ({"recipe": "linework", "overrides": {"epochs": 3}}, 422, "bad-recipe", "epochs"),
        ({"recipe": "linework", "overrides": {"stages": {"main": {"lr": -1}}}}, 422, "bad-recipe", "stages.main.lr"),
        ({"recipe": "linework", "epochs": 3}, 422, "invalid-request", "epochs"),
        ({}, 422, "invalid-request", "recipe"),
        ({"recipe": "linework", "overrides": {"texts": {"tower": "a\0b"}}}, 422, "invalid-request", "NUL"),
        ({"recipe": "linework", "overrides": {"n\0": None}}, 422, "invalid-request", "NUL"),
        ({"recipe": "linework", "overrides": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {}}}}}}}}}},
         422, "invalid-request", "deep"),
        ({"recipe": "linework", "before": "yesterday"}, 422, "invalid-request", "before"),
    ],
)  # fmt: skip
def test_what_no_recipe_has_is_refused_by_its_name(
    client: TestClient, wanted: dict[str, Any], status: int, kind: str, told: str
) -> None:
    answer = client.post("/train", json=wanted)
    problem_of(answer, status, kind)
    assert told in answer.text


def test_numbers_that_json_does_not_have_are_refused(client: TestClient) -> None:
    body = '{"recipe": "linework", "overrides": {"stages": {"main": {"lr": NaN}}}}'
    answer = client.post("/train", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


def test_half_a_surrogate_pair_is_refused(client: TestClient) -> None:
    body = '{"recipe": "linework", "overrides": {"\\ud800": null}}'
    answer = client.post("/train", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


def test_a_repeated_request_gets_the_same_job(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    jobs = [client.post("/train", json={"recipe": "linework"}, headers=headers).json()["id"] for _ in range(2)]
    assert jobs[0] == jobs[1]
    other = client.post("/train", json={"recipe": "sketch-a-net"}, headers=headers)
    problem_of(other, 409, "conflict")
