"""A loaded stack, as its callers know it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.pressure import corpus
from benchmarks.pressure.corpus import Pictures
from benchmarks.pressure.stack import Stack

LOAD_SECONDS = 400
SHOWN = 100  # patents whose drawings are asked for
HITS = "10"  # of the record that is read, exported and clustered
BATCH = 100  # queries of the batch that is exported


@dataclass(frozen=True, slots=True)
class Target:
    """Where callers find what; `programs` are process ids by name, `folder` takes what is made on the way."""

    address: str
    keys: dict[str, str]
    programs: dict[str, int]
    folder: Path
    pictures: Pictures
    patents: list[str]
    drawings: list[str]
    search_id: str
    batch_id: str


def load(stack: Stack) -> None:
    """Ingest the corpus and wait until it is indexed. Raises RuntimeError, httpx.HTTPError."""
    register = corpus.write_register(stack.inbox / "register.tar")
    with stack.client() as client:
        job = _asked(client, "/ingest", {"uri": register.as_uri()})
        _until(lambda: _ended(client, job), "the corpus is loaded")
        _until(lambda: _indexed(client), "the corpus is indexed")


def find(stack: Stack, pictures: Pictures, folder: Path) -> Target:
    """What the callers name in their calls; the heavy caller gets a record and a batch of its own."""
    with stack.client("heavy") as client:
        patents = [f"PR{number:06}" for number in range(corpus.PATENTS)]
        drawings = [_read(client, f"/patents/{patent}")["drawings"][0] for patent in patents[:SHOWN]]
        search = _read(client, "/search", drawing=drawings[0], limit=HITS)
        batch = _asked(client, "/search/batch?limit=5", {"patents": patents[:BATCH]})
        _until(lambda: _ended(client, batch), "a batch is searched")
    return Target(
        stack.address, stack.keys, stack.programs(), folder, pictures, patents, drawings, search["search_id"], batch
    )


def _read(client: httpx.Client, path: str, **params: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(path, params=params).raise_for_status().json()
    return answer


def _asked(client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    return str(client.post(path, json=body).raise_for_status().json()["id"])


def _ended(client: httpx.Client, job_id: str) -> bool:
    job = _read(client, f"/jobs/{job_id}")
    if job["state"] in ("failed", "cancelled") or job["progress"]["failed"]:
        raise RuntimeError(f"The job did not succeed: {job}")
    return bool(job["state"] == "succeeded")


def _indexed(client: httpx.Client) -> bool:
    indexes = _read(client, "/corpus")["indexes"]
    return any(index["state"] == "active" and index["indexed"] == index["drawings"] > 0 for index in indexes)


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not within {LOAD_SECONDS} s: {what}")
        time.sleep(0.25)
