"""From packages to a search by an encoder of one's own, and back again, all by the API."""

from pathlib import Path
from typing import Any

import pytest

from linework_office import publish
from tests.stack.conftest import Stack

TINY = {
    "model": {"backbone": "test_resnet", "image_size": 48},
    "stages": {"main": {"epochs": 2, "batch_size": 32}},
    "validation": {"share": 0.2},
}


@pytest.fixture
def inbox(stack: Stack) -> Path:
    """A sample office's packages where the stack may read them."""
    folder = stack.folder / "inbox"
    publish(folder, designs=16, seed=3, size=0.25)
    return folder


def done(stack: Stack, path: str, seconds: float = 90, **body: Any) -> dict[str, Any]:
    """The result of a job that must succeed."""
    job = stack.wait_for_job(stack.ask(path, **body), seconds)
    assert job["state"] == "succeeded", job
    result: dict[str, Any] = job["result"] or {}
    return result


def read(stack: Stack, path: str, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = stack.client.get(path, params=params).raise_for_status().json()
    return answer


@pytest.mark.timeout(900)
def test_the_whole_way_from_packages_to_a_search_by_an_encoder_of_ones_own_and_back(stack: Stack, inbox: Path) -> None:
    stack.start("enrich", "trainer")
    done(stack, "/ingest", uri=inbox.as_uri())
    stack.wait_until_indexed()
    first = read(stack, "/search", patent=some_patent(stack))["encoder"]["id"]
    done(stack, "/enrich", provider="template")

    job = stack.wait_for_job(stack.ask("/train", recipe="linework", overrides=TINY, name="ours"), 90)
    trained = job["result"]
    assert job["state"] == "succeeded", job
    curves = stack.client.get(f"/jobs/{job['id']}/artefacts/curves.png").raise_for_status()
    assert curves.content.startswith(b"\x89PNG")
    encoder = trained["encoder"]
    stack.wait_for(lambda: read(stack, f"/encoders/{encoder}")["state"] == "ready", 90, "the new index is full")
    assert read(stack, "/search", q="lamp")["encoder"]["id"] == first  # nothing has been switched yet

    evaluation = done(stack, "/evaluate", protocol="same-patent", encoder=encoder, pictures=False)["evaluation"]
    assert 0 <= read(stack, f"/evaluations/{evaluation}")["results"]["all"]["mean"]["map"] <= 1

    stack.client.post(f"/encoders/{encoder}/activate").raise_for_status()
    for question in ({"q": "lamp"}, {"patent": some_patent(stack)}):
        answer = read(stack, "/search", **question)
        assert answer["encoder"]["id"] == encoder
        assert answer["hits"]
        assert answer["unindexed"] == 0

    stack.client.post(f"/encoders/{first}/activate").raise_for_status()
    assert read(stack, "/search", patent=some_patent(stack))["encoder"]["id"] == first
    assert read(stack, f"/encoders/{encoder}")["state"] == "retired"


def some_patent(stack: Stack) -> str:
    """One that was ingested."""
    found = read(stack, "/search", q="a", limit=1)["hits"] or read(stack, "/search", q="ornamental", limit=1)["hits"]
    return str(found[0]["patent"]["id"])
