"""A smoke test of any installation: sample patents go in, are embedded and described, and are found, by date, too.

    make smoke BASE_URL=https://linework.example.org API_KEY=…
    make smoke BASE_URL=http://127.0.0.1:8000 API_KEY=… RESTART='docker compose restart'

With RESTART each of SERVICES is restarted in turn: the command gets the service's name where it says {}, or else as
its last word. After every restart one more patent must go the whole way, and all earlier ones must be found again.

The samples are drawn by the imaginary patent office, new ones for each run; they are withdrawn in the end (KEEP=1
leaves them). The key needs the scopes search, ingest and enrich. Nothing else of the installation is touched.
"""

import os
import secrets
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import httpx
from rich.console import Console

import linework_office as office

SERVICES = "postgres redis api ingest embedder embed enricher trainer beat"
PATIENCE_S = 300.0  # longest that anything may take; a first start loads models
PAUSE_S = 0.5
SCORE = 0.98  # of a picture with itself, after it has been to the object store and back
TRY_AGAIN = (429, 502, 503, 504)
console = Console()


class Failed(Exception):
    """What did not work, in a sentence."""


@dataclass(frozen=True)
class Sample:
    """A patent that was loaded, one of its drawings and that drawing's picture."""

    patent: str
    granted: date
    drawing: str
    picture: bytes


class Installation:
    """An installation as its callers see it. What is not there yet is asked again, as any good client does."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60)

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer without an error. A POST that is sent again is not done again: it has an idempotency key."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method != "GET" and path != "/search" else {}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._client.request(method, path, headers=headers, **request)
                if answer.is_success:
                    return answer
                reason, final = answer.text[:300], answer.status_code not in TRY_AGAIN
            except httpx.TransportError as error:
                reason, final = repr(error), False
            if final or time.monotonic() > deadline:
                raise Failed(f"{method} {path}: {reason}")
            time.sleep(PAUSE_S)

    def wait_until_ready(self) -> None:
        self.call("GET", "/health/ready")

    def finish(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job as it ended. Raises Failed unless it succeeded."""

        def ended() -> bool:
            job.update(self.call("GET", f"/jobs/{job['id']}").json())
            return job["state"] not in ("queued", "running")

        until(ended, f"the {job['kind']} job ends")
        if job["state"] != "succeeded":
            raise Failed(f"The {job['kind']} job {job['state']}: {job['error']}")
        return job

    def load(self, design: office.Design) -> Sample:
        """Upload a patent's package, and look at what became of it."""
        package = (f"{design.name}.ZIP", office.package(design, size=0.5))
        job = self.finish(self.call("POST", "/ingest", files={"file": package}).json())
        if job["progress"]["done"] != 1:
            raise Failed(f"{design.name} was not taken: {job['progress']} {job['result']}")
        patent = design.name.partition("-")[0]
        drawing = self.call("GET", f"/patents/{patent}").json()["drawings"][0]
        picture = self.call("GET", f"/drawings/{drawing}/image").content
        return Sample(patent, design.granted, drawing, picture)

    def describe(self, sample: Sample) -> None:
        """Have the patent's drawings described by rules."""
        wanted = {"patents": [sample.patent], "provider": "template"}
        self.finish(self.call("POST", "/enrich", json=wanted).json())

    def found(self, sample: Sample) -> bool:
        """Whether its own picture finds it the day after its grant. Before that day it is no prior art, ever."""
        self._hits_before(sample.granted, sample.picture)
        hits = self._hits_before(sample.granted + timedelta(days=1), sample.picture)
        return any(hit["patent"]["id"] == sample.patent and hit["score"] >= SCORE for hit in hits)

    def _hits_before(self, day: date, picture: bytes) -> list[dict[str, Any]]:
        files = {"image": ("query.png", picture)}
        answer = self.call("POST", "/search", params={"before": day.isoformat(), "limit": 20}, files=files).json()
        hits: list[dict[str, Any]] = answer["hits"]
        for patent in (hit["patent"] for hit in hits):
            if patent["granted"] is None or date.fromisoformat(patent["granted"]) >= day:
                raise Failed(f"A search before {day} finds {patent}.")
        return hits

    def found_by_words(self, sample: Sample) -> bool:
        """Whether one of its descriptions finds it among what was granted on the same day."""
        answer = self.call("GET", f"/drawings/{sample.drawing}/descriptions").json()
        words = answer["sets"][0]["texts"][0]["text"]
        day = {"after": sample.granted.isoformat(), "before": (sample.granted + timedelta(days=1)).isoformat()}
        hits = self.call("GET", "/search", params={"q": words, "limit": 100, **day}).json()["hits"]
        return any(hit["patent"]["id"] == sample.patent for hit in hits)

    def withdraw(self, sample: Sample) -> None:
        self.finish(self.call("DELETE", f"/patents/{sample.patent}").json())


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once it is true. Raises Failed when it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"Waited {PATIENCE_S:.0f} s until {what}.")
        time.sleep(PAUSE_S)


def whole_way(installation: Installation, design: office.Design, samples: list[Sample]) -> None:
    """One more patent goes in, and all are found."""
    began = time.monotonic()
    sample = installation.load(design)
    samples.append(sample)
    installation.describe(sample)
    for known in samples:
        until(partial(installation.found, known), f"{known.patent} is found by its picture")
        until(partial(installation.found_by_words, known), f"{known.patent} is found by words")
    console.print(f"  {sample.patent} is in, embedded and described; {len(samples)} found ({seconds(began)})")


def restart(command: str, service: str, installation: Installation) -> None:
    """Restart one service and wait until the installation says that it is ready."""
    began = time.monotonic()
    words = shlex.split(command)
    words = [word.replace("{}", service) for word in words] if "{}" in command else [*words, service]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(words)} failed:\n{done.stdout}{done.stderr}")
    installation.wait_until_ready()
    console.print(f"Restarted {service} ({seconds(began)})")


def seconds(since: float) -> str:
    return f"{time.monotonic() - since:.1f} s"


def run(url: str, key: str, restarting: str, services: list[str], keep: bool) -> None:
    """The whole test. Raises Failed."""
    began, samples = time.monotonic(), list[Sample]()
    installation = Installation(url, key)
    console.print(f"Waiting for {url}")
    installation.wait_until_ready()
    designs = iter(office.plan(len(services) + 2, seed=secrets.randbelow(2**31)))
    try:
        for _ in range(2):
            whole_way(installation, next(designs), samples)
        for service in services:
            restart(restarting, service, installation)
            whole_way(installation, next(designs), samples)
    finally:
        for sample in () if keep else samples:
            installation.withdraw(sample)
    console.print(f"[green]All of it works[/green] ({seconds(began)})")


def main() -> None:
    """Read the environment and run."""
    given = os.environ
    if "BASE_URL" not in given:
        sys.exit("Say which installation: make smoke BASE_URL=http://127.0.0.1:8000 API_KEY=…")
    restarting = given.get("RESTART", "")
    services = given.get("SERVICES", SERVICES).split() if restarting else []
    try:
        run(given["BASE_URL"], given.get("API_KEY", ""), restarting, services, bool(given.get("KEEP")))
    except Failed as error:
        console.print(f"[red]Failed[/red]: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
