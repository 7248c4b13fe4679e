"""Who may call: keys, scopes, and the refusal to stand open."""

import hashlib
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, update
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core.settings import Settings, get_settings
from linework_core.tables import ApiKey, Encoder
from tests.api.conftest import Design, as_caller, load, problem_of, require_keys
from tests.api.serving import serving
from tests.waiting import PATIENCE


@pytest.fixture
def keyed(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A gateway that asks for keys: anna searches, bert ingests, root may do everything."""
    require_keys(monkeypatch, anna=["search"], bert=["ingest"], root=["admin"], nobody=[])
    return TestClient(create_app(), raise_server_exceptions=False)


ID = "1d5f0fc9-27f5-4ffd-8b24-4e8a9e9ad4c6"
CALLS = [
    ("GET", "/search?drawing=a", "search"),
    ("POST", "/search", "search"),
    ("POST", "/search/batch", "search"),
    ("GET", f"/search/batch/{ID}", "search"),
    ("GET", f"/search/batch/{ID}/export", "search"),
    ("GET", f"/searches/{ID}", "search"),
    ("POST", f"/searches/{ID}/replay", "search"),
    ("GET", f"/searches/{ID}/export", "search"),
    ("GET", f"/searches/{ID}/clusters", "search"),
    ("POST", f"/searches/{ID}/clusters/titles", "enrich"),
    ("POST", f"/searches/{ID}/share", "search"),
    ("GET", f"/searches/{ID}/share", "search"),
    ("DELETE", f"/searches/{ID}/share/anna", "search"),
    ("POST", "/ingest", "ingest"),
    ("DELETE", "/patents/a", "ingest"),
    ("POST", "/patents/a/restore", "ingest"),
    ("POST", "/patents/a/erase", "admin"),
    ("DELETE", "/patents/a/erasure", "admin"),
    ("POST", "/enrich", "enrich"),
    ("POST", "/embed", "train"),
    ("POST", "/encoders", "train"),
    ("POST", "/encoders/a/activate", "train"),
    ("DELETE", "/encoders/a", "train"),
    ("GET", "/encoders", "search"),
    ("GET", "/encoders/a", "search"),
    ("GET", "/corpus", "search"),
    ("GET", "/patents/a", "search"),
    ("GET", "/drawings/a", "search"),
    ("GET", "/drawings/a/image", "search"),
    ("GET", "/drawings/a/descriptions", "search"),
    ("POST", "/evaluate", "train"),
    ("POST", "/train", "train"),
    ("GET", f"/evaluations/{ID}", "search"),
    ("GET", f"/evaluations/{ID}/artefacts/tsne.png", "search"),
    ("POST", "/keys", "admin"),
    ("GET", "/keys", "admin"),
    ("DELETE", f"/keys/{ID}", "admin"),
    ("GET", "/audit", "admin"),
    ("GET", "/jobs", None),
    ("GET", f"/jobs/{ID}", None),
    ("DELETE", f"/jobs/{ID}", None),
    ("GET", f"/jobs/{ID}/events", None),
    ("GET", f"/jobs/{ID}/artefacts/curves.png", None),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_every_call_needs_a_key_and_its_scope(keyed: TestClient, method: str, path: str, scope: str | None) -> None:
    with keyed:
        refused = keyed.request(method, path)
        problem_of(refused, 401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
        if scope:
            problem_of(keyed.request(method, path, headers=as_caller("nobody")), 403, "forbidden")
        holders = {"search": ["anna"], "ingest": ["bert"]}.get(scope or "", [])
        for name in [*holders, "root"]:
            assert keyed.request(method, path, headers=as_caller(name)).status_code not in (401, 403)


def test_the_list_of_calls_is_complete(keyed: TestClient) -> None:
    published = {
        (method.upper(), path)
        for path, methods in keyed.app.openapi()["paths"].items()  # type: ignore[attr-defined]
        for method in methods
        if not path.startswith("/health")
    }
    assert len(published) == len(CALLS)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"])
def test_health_metrics_and_documentation_are_open(keyed: TestClient, path: str) -> None:
    with keyed:
        assert keyed.get(path).status_code in (200, 503)


@pytest.mark.parametrize(
    "header",
    [
        b"", b"Bearer", b"Bearer ", b"Bearer wrong", b"Basic YW5uYS1rZXk6", b"anna-key", b"bearer  anna-key x",
        b"Bearer anna-key\xff", b"Bearer \xc3\xa9", b"Bearer " + b"x" * 10_000,
        b"Bearer " + hashlib.sha256(b"anna-key").hexdigest().encode(),  # what the settings hold is no key
    ],
    ids=lambda header: repr(header[:30]),
)  # fmt: skip
def test_what_is_no_key_is_refused(keyed: TestClient, header: bytes) -> None:
    with keyed:
        problem_of(keyed.get("/corpus", headers=[(b"Authorization", header)]), 401, "unauthorized")


def test_a_search_is_its_owners_and_an_admins(
    keyed: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_keys(monkeypatch, anna=["search"], carl=["search"], root=["admin"])
    load(session, encoder, [Design("USD0000001"), Design("USD0000002")])
    with TestClient(create_app()) as client:
        found = client.get("/search", params={"drawing": "USD0000001-S_1"}, headers=as_caller("anna")).json()
        path = f"/searches/{found['search_id']}"
        problem_of(client.get(path, headers=as_caller("carl")), 404, "not-found")
        for name in ("anna", "root"):
            assert client.get(path, headers=as_caller(name)).status_code == 200


def test_no_key_is_logged(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require_keys(monkeypatch, anna=["search"], bert=["ingest"])
    with TestClient(create_app()) as client:
        client.get("/corpus", headers=as_caller("anna"))
        client.get("/corpus", headers={"Authorization": "Bearer mistyped-key"})
        client.get("/encoders/x", headers=as_caller("bert"))
    logged = capfd.readouterr().err
    assert '"path": "/corpus"' in logged
    for secret in ("anna-key", "bert-key", "mistyped-key", hashlib.sha256(b"anna-key").hexdigest()):
        assert secret not in logged


@pytest.mark.parametrize(
    ("values", "starts"),
    [
        ({"AUTH": "off", "API_HOST": "127.0.0.1"}, True),
        ({"AUTH": "off", "API_HOST": "::1"}, True),
        ({"AUTH": "off", "API_HOST": "0.0.0.0"}, False),
        ({"AUTH": "off", "API_HOST": "::"}, False),
        ({"AUTH": "off", "API_HOST": "10.0.0.7"}, False),
        ({"AUTH": "on"}, True),
        ({"AUTH": "on", "API_HOST": "0.0.0.0"}, False),
        ({"API_HOST": "0.0.0.0"}, False),
    ],
)
def test_the_gateway_does_not_start_where_strangers_could_call(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, values: dict[str, str], starts: bool
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    with nullcontext() if starts else pytest.raises(ValueError, match="AUTH"), TestClient(create_app()):
        pass


def test_one_usable_key_lets_the_gateway_start(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    require_keys(monkeypatch, anna=["search"], bert=["search"])
    monkeypatch.setenv("API_HOST", "0.0.0.0")
    get_settings.cache_clear()
    session.execute(update(ApiKey).where(ApiKey.name == "anna").values(revoked_at=func.now()))
    session.commit()
    with TestClient(create_app()) as client:
        assert client.get("/corpus", headers=as_caller("bert")).status_code == 200
    session.execute(update(ApiKey).where(ApiKey.name == "bert").values(expires_at=func.now()))
    session.commit()
    with pytest.raises(ValueError, match="no usable API key"), TestClient(create_app()):
        pass


def test_keys_are_asked_for_by_default(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTH")
    get_settings.cache_clear()
    with TestClient(create_app()) as client:
        problem_of(client.get("/corpus"), 401, "unauthorized")


def test_a_gateway_without_its_database_starts_and_lets_nobody_in(
    environment: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTH", "on")
    monkeypatch.setenv("API_HOST", "0.0.0.0")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@/nothing?host={tmp_path}")
    get_settings.cache_clear()
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        problem_of(client.get("/corpus", headers=as_caller("anna")), 503, "unavailable")


def test_the_key_is_checked_before_a_body_is_read(keyed: TestClient) -> None:
    with serving(cast(FastAPI, keyed.app)) as url:
        for key, status in ((b"", b"401"), (b"Authorization: Bearer bert-key\r\n", b"403")):
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
                line.sendall(b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n")
                line.sendall(key + b"Content-Length: 100000\r\n\r\n")  # and nothing of the body
                assert line.recv(4096).split()[1] == status


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("2001:db8::1", 403)]
)
def test_without_keys_other_machines_are_refused_whatever_the_server_listens_on(
    environment: Settings, address: str, status: int
) -> None:
    with TestClient(create_app(), client=(address, 50_000)) as client:
        assert client.get("/corpus").status_code == status


def test_an_open_gateway_says_so_in_the_log(environment: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    create_app()
    assert '"event": "auth_off"' in capfd.readouterr().err
