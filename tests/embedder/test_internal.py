"""Who may call the embedder: services with the shared token, or this machine where there is none."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from linework_api.embedder_client import EmbedderClient
from linework_core.errors import Unavailable
from linework_core.settings import Settings
from linework_embedder.app import create_app
from tests.api.serving import serving

TOKEN = "5b1f0e7a9c3d48e2a6f4d1c08b7e93f2"


def test_a_call_without_the_token_is_refused_before_its_body_is_read(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"internal_token": SecretStr(TOKEN)}))
    with TestClient(app, raise_server_exceptions=False) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            refused = client.post("/embed/drawings", content=b"{", headers=headers)
            assert refused.status_code == 401
            assert refused.json()["type"] == "urn:linework:problem:unauthorized"
        admitted = client.post("/embed/drawings", content=b"{", headers={"Authorization": f"Bearer {TOKEN}"})
        assert admitted.status_code == 422
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert client.get(path).status_code in (200, 503)


def test_the_gateways_client_sends_the_token(settings: Settings, tmp_path: Path) -> None:
    told = settings.model_copy(update={"internal_token": SecretStr(TOKEN)})
    with serving(create_app(told), socket=tmp_path / "e.sock") as url:
        client, stranger = EmbedderClient(url, token=SecretStr(TOKEN)), EmbedderClient(url)
        with pytest.raises(Unavailable, match="refuses this gateway"):
            stranger.describe("debug:8")
        assert client.describe("debug:8").dimension == 8
        client.close()
        stranger.close()


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 422), ("::1", 422), ("10.0.0.7", 403)])
def test_without_a_token_it_serves_its_own_machine_only(settings: Settings, address: str, status: int) -> None:
    with TestClient(create_app(settings), client=(address, 50_000)) as client:
        assert client.post("/embed/drawings", content=b"{").status_code == status
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("token", ["short", "change-me-change-me-change-me-change-me"])
def test_a_token_that_can_be_guessed_is_refused(settings: Settings, token: str) -> None:
    with pytest.raises(ValueError, match="INTERNAL_TOKEN"):
        create_app(settings.model_copy(update={"internal_token": SecretStr(token)}))


def test_the_token_may_lie_in_a_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    found = settings.model_copy(update={"internal_token_file": tmp_path / "token"}).own_secret("internal_token")
    assert found is not None
    assert found.get_secret_value() == TOKEN
