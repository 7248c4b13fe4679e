"""Without keys a web page that the user visits must reach nothing; with keys, names may be bounded."""

import pytest
from fastapi.testclient import TestClient

from linework_api.app import create_app
from linework_core.settings import Settings, get_settings
from tests.api.conftest import as_caller, problem_of, require_keys

HERE = "127.0.0.1:8000"
CALLS = [("GET", "/corpus"), ("POST", "/keys"), ("POST", "/ingest"), ("DELETE", "/patents/a"), ("GET", "/docs")]
PASSING = [
    {"Host": HERE},
    {"Host": "localhost:8000"},
    {"Host": "[::1]:8000"},
    {"Host": "127.0.0.2"},
    {"Host": "LocalHost.:8000"},
    {"Host": HERE, "Origin": f"http://{HERE}", "Sec-Fetch-Site": "same-origin"},
    {"Host": HERE, "Sec-Fetch-Site": "none"},
]
REFUSED = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8000", "Origin": "http://evil.example:8000", "Sec-Fetch-Site": "same-origin"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost@evil.example"},
    {"Host": "10.0.0.7:8000"},
    {"Host": "[::1"},
    {"Host": ""},
    {"Host": HERE, "Origin": "http://evil.example"},
    {"Host": HERE, "Origin": "null"},
    {"Host": HERE, "Origin": "http://127.0.0.1:9999"},
    {"Host": HERE, "Origin": f"https://{HERE}"},
    {"Host": HERE, "Sec-Fetch-Site": "cross-site"},
    {"Host": HERE, "Sec-Fetch-Site": "same-site"},
    {"Host": HERE, "X-Forwarded-For": "127.0.0.1"},
    {"Host": HERE, "X-Forwarded-For": "unknown"},
    {"Host": HERE, "X-Forwarded-For": ""},
    {"Host": HERE, "X-Forwarded-Host": "evil.example"},
    {"Host": HERE, "Forwarded": "for=unknown"},
    {"Host": HERE, "X-Real-IP": "127.0.0.1"},
]


def test_without_keys_nothing_from_elsewhere_is_taken(client: TestClient) -> None:
    for headers in REFUSED:
        for method, path in CALLS:
            problem_of(client.request(method, path, headers=headers), 403, "forbidden")


def test_without_keys_pages_of_ours_and_programs_are_served(client: TestClient) -> None:
    for headers in PASSING:
        assert client.get("/corpus", headers=headers).status_code == 200, headers
        made = client.post("/keys", json={"name": "anna", "scopes": ["search"]}, headers=headers)
        assert made.status_code == 201, headers


def test_health_and_metrics_ask_for_no_name(client: TestClient) -> None:
    for path in ("/health/live", "/metrics"):
        assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


@pytest.mark.parametrize("address", ["testclient", "unknown", "", "10.0.0.7", "2001:db8::1", "::ffff:10.0.0.7"])
def test_a_caller_of_whom_nobody_knows_where_is_not_here(environment: Settings, address: str) -> None:
    with TestClient(create_app(), client=(address, 50_000)) as client:
        problem_of(client.get("/corpus"), 403, "forbidden")


def test_a_local_caller_of_a_server_on_both_protocols_is_here(environment: Settings) -> None:
    with TestClient(create_app(), client=("::ffff:127.0.0.1", 50_000)) as client:
        assert client.get("/corpus").status_code == 200


def test_further_names_may_be_allowed(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", '["Drawings.Example"]')
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        assert client.get("/corpus", headers={"Host": "drawings.example:80"}).status_code == 200
        assert client.get("/corpus", headers={"Host": HERE}).status_code == 200
        problem_of(client.get("/corpus", headers={"Host": "evil.example"}), 403, "forbidden")


def test_with_keys_any_name_is_taken_until_some_are_named(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_keys(monkeypatch, anna=["search"])
    odd = {"Host": "evil.example", "Origin": "http://elsewhere.example", "X-Forwarded-For": "10.0.0.7"}
    with TestClient(create_app()) as client:
        assert client.get("/corpus", headers={**as_caller("anna"), **odd}).status_code == 200
    monkeypatch.setenv("ALLOWED_HOSTS", '["drawings.example"]')
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        problem_of(client.get("/corpus", headers={**as_caller("anna"), **odd}), 403, "forbidden")
        assert client.get("/corpus", headers={**as_caller("anna"), "Host": "drawings.example"}).status_code == 200
