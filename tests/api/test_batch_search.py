"""Batch searches: the same answers as single calls, on one snapshot, each once, whatever happens on the way."""

import datetime as dt
import io
import itertools
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from linework_api import worker
from linework_api.app import create_app
from linework_api.batches import runner as batches
from linework_api.batches.schemas import MOST_QUERIES, days
from linework_api.search.service import SearchService
from linework_core import db, encoders
from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.jobs import runner
from linework_core.queues import nudge, waiting
from linework_core.settings import Settings, get_settings
from linework_core.tables import BatchQuery, Encoder, Job, Search
from linework_embedder.app import create_app as create_embedder
from linework_vision import load as load_encoder
from tests.api.batching import DESIGNS, ask, pages, work
from tests.api.conftest import Design, change, count, draw, load, look, problem_of, store_pictures, unit
from tests.api.serving import serving
from tests.waiting import until
from tests.workers import workers

pytestmark = pytest.mark.usefixtures("fresh_worker")


# ---- what is searched


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 3, "locarno": "14"},
        {"group_by": "patent", "family": "exclude", "after": "2015-01-20"},
        {"before": "2015-02-01", "exclude": "USD0000003", "mode": "exact"},
    ],
    ids=repr,
)
def test_a_batch_answers_as_single_calls_do(
    client: TestClient, session: Session, encoder: Encoder, options: dict[str, Any]
) -> None:
    load(session, encoder, DESIGNS)
    patents = [design.id for design in reversed(DESIGNS[8:])]
    job = ask(client, {"patents": patents}, **options)
    assert (job["kind"], job["progress"]["total"], waiting("search")) == ("search", len(patents), 1)
    work(job["id"])
    assert client.get(f"/jobs/{job['id']}").json()["progress"] == {
        "total": len(patents), "done": len(patents), "skipped": 0, "failed": 0,
    }  # fmt: skip
    answered = pages(client, job["id"])
    assert [one["query"] for one in answered] == patents
    for one in answered:
        single = client.get("/search", params={"before": "self"} | options | {"patent": one["query"]}).json()
        kept = client.get(f"/searches/{one['answer']['search_id']}").json()
        assert one["answer"] == kept["answer"]
        assert (kept["request"]["patent"], kept["owner"]) == (one["query"], "local")
        following = [answer.pop("next") for answer in (single, one["answer"])]
        assert (following[0] is None) == (following[1] is None)  # each names its own record
        for answer in (single, one["answer"]):
            del answer["search_id"]
        assert one["answer"] == single


def test_the_hits_of_a_patent_are_dated_before_it(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, DESIGNS)
    job = ask(client, {"patents": ["USD0000020"]})
    work(job["id"])
    (one,) = pages(client, job["id"])
    own = DESIGNS[19].granted
    assert (one["answer"]["before"], len(one["answer"]["hits"])) == (str(own), 20)
    assert all(dt.date.fromisoformat(hit["patent"]["granted"]) < own for hit in one["answer"]["hits"])


@pytest.mark.parametrize(
    ("granted", "first", "last"),
    [
        ("2015-W03", "2015-01-12", "2015-01-18"),
        ("2015-01-13", "2015-01-13", "2015-01-13"),
        ("2015-01-06/2015-01-13", "2015-01-06", "2015-01-13"),
        ("1999-W01", "1999-01-04", "1999-01-10"),
    ],
)
def test_everything_granted_in_a_span_is_searched(
    client: TestClient, session: Session, encoder: Encoder, granted: str, first: str, last: str
) -> None:
    assert days(granted) == (dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    load(session, encoder, DESIGNS)
    job = ask(client, {"granted": granted})
    work(job["id"])
    wanted = [design.id for design in DESIGNS if first <= str(design.granted) <= last]
    assert [one["query"] for one in pages(client, job["id"])] == wanted
    ended = client.get(f"/jobs/{job['id']}").json()
    assert (ended["state"], ended["result"]["answered"]) == ("succeeded", len(wanted))


def test_one_snapshot_holds_for_the_whole_batch(client: TestClient, session: Session, encoder: Encoder) -> None:
    snapshot = load(session, encoder, DESIGNS)
    job = ask(client, {"patents": [design.id for design in DESIGNS]})
    load(session, encoder, [Design("USD0000099", [unit(1), unit(20)], granted=dt.date(2010, 1, 5))])
    patent = open_patent(session, "USD0000001")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    work(job["id"])
    answered = pages(client, job["id"])
    assert {one["state"] for one in answered} == {"answered"}
    assert {one["answer"]["snapshot"] for one in answered} == {snapshot}
    found = {hit["patent"]["id"] for one in answered for hit in one["answer"]["hits"]}
    assert "USD0000001" in found
    assert "USD0000099" not in found


def test_a_query_that_cannot_be_searched_is_set_aside_with_its_reason(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    undated = Design("USD0000098", [unit(98)], granted=None)
    load(session, encoder, [*DESIGNS, undated, Design("USD0000097", [])])
    job = ask(client, {"patents": ["USD0000005", "USD9999999", "USD0000098", "USD0000097", "USD0000005", "USD0000006"]})
    work(job["id"])
    answered = pages(client, job["id"])
    assert [(one["ordinal"], one["query"], one["state"], one["reason"]) for one in answered] == [
        (1, "USD0000005", "answered", None),
        (2, "USD9999999", "set-aside", "not-found"),
        (3, "USD0000098", "set-aside", "invalid-request"),
        (4, "USD0000097", "set-aside", "invalid-request"),
        (5, "USD0000006", "answered", None),
    ]
    assert answered[1]["detail"] == "There is no patent USD9999999."
    ended = client.get(f"/jobs/{job['id']}").json()
    assert ended["progress"] == {"total": 5, "done": 2, "skipped": 0, "failed": 3}
    assert ended["result"]["set_aside"] == {"not-found": 1, "invalid-request": 2}


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ({}, {}),
        ({"patents": ["USD0000001"], "granted": "2015-W03"}, {}),
        ({"granted": "2015-W54"}, {}),
        ({"granted": "2015-02-30"}, {}),
        ({"granted": "2015-02-02/2015-02-01"}, {}),
        ({"patents": ["USD0000001"] * (MOST_QUERIES + 1)}, {}),
        ({"patents": ["USD0000001"], "more": 1}, {}),
        ({"patents": ["USD0000001"]}, {"cursor": "abc"}),
        ({"patents": ["USD0000001"]}, {"before": "tomorrow"}),
        ({"patents": ["USD0000001"]}, {"before": "2015-01-01", "after": "2015-01-02"}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_makes_no_sense_is_refused(
    client: TestClient, session: Session, encoder: Encoder, body: dict[str, Any], options: dict[str, Any]
) -> None:
    load(session, encoder, DESIGNS[:2])
    problem_of(client.post("/search/batch", json=body, params=options), 422, "invalid-request")
    assert (count(session, Job, Job.kind == "search"), waiting("search")) == (0, 0)


# ---- pictures


@pytest.fixture
def seeing(environment: Settings, session: Session) -> Iterator[TestClient]:
    """A gateway with an embedder, over a few designs."""
    encoder = encoders.ensure_active(session, load_encoder("debug:8").manifest)
    load(session, encoder, DESIGNS)
    socket = Path(environment.embedder_url.removeprefix("unix://"))
    with serving(create_embedder(), socket=socket), TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


PICTURES = {
    "chairs/one.png": draw(80, 60),
    "README.txt": b"no picture",
    "two.png": draw(60, 90),
    "__MACOSX/._two.png": b"junk",
    "three.png": draw(120, 50),
}


def zipped(pictures: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in pictures.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(pictures: dict[str, bytes], mode: Any = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in pictures.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "packed", [zipped, tarred, lambda pictures: tarred(pictures, "w:gz")], ids=["zip", "tar", "gz"]
)
def test_each_picture_of_an_archive_is_searched_before_the_day(
    seeing: TestClient, session: Session, packed: Callable[[dict[str, bytes]], bytes]
) -> None:
    options = {"before": "2015-03-01", "limit": 5}
    job = seeing.post("/search/batch", files={"file": ("folder.zip", packed(PICTURES))}, params=options).json()
    assert job["progress"]["total"] == 4
    work(job["id"])
    answered = {one["query"]: one for one in pages(seeing, job["id"])}
    assert list(answered) == [name for name in PICTURES if not name.startswith("__")]
    assert answered["README.txt"]["reason"] == "unreadable-image"
    for name in ("chairs/one.png", "two.png", "three.png"):
        single = seeing.post("/search", files={"image": (name, PICTURES[name])}, params=options).json()
        batch = answered[name]["answer"]
        assert (batch["eligible"], batch["before"]) == (single["eligible"], "2015-03-01")
        assert batch["hits"] == single["hits"]
    uploads = get_settings().object_store_url.removeprefix("file://") + "/uploads"
    assert list(Path(uploads).iterdir()) == []


def test_pictures_need_a_day_and_have_no_family(seeing: TestClient) -> None:
    upload = {"file": ("folder.zip", zipped(PICTURES))}
    for options in ({}, {"before": "2015-03-01", "family": "exclude"}):
        problem_of(seeing.post("/search/batch", files=upload, params=options), 422, "invalid-request")


@pytest.mark.parametrize("data", [b"no archive", zipped(PICTURES)[:-30], tarred(PICTURES)[:3000]], ids=len)
def test_an_archive_that_cannot_be_read_is_refused_and_not_kept(
    seeing: TestClient, session: Session, data: bytes
) -> None:
    refused = seeing.post("/search/batch", files={"file": ("folder.zip", data)}, params={"before": "2015-03-01"})
    assert problem_of(refused, 422, "invalid-request")["reason"] in (
        "unknown-format",
        "bad-archive",
        "truncated-archive",
    )
    assert count(session, Job, Job.kind == "search") == 0
    uploads = Path(get_settings().object_store_url.removeprefix("file://")) / "uploads"
    assert list(uploads.iterdir()) == []


def test_stored_vectors_need_no_embedder_and_one_that_is_away_is_waited_for(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [*DESIGNS, Design("USD0000050", [None])])
    store_pictures(session, original=draw(80, 60))
    stored, lacking = (ask(client, {"patents": [name]})["id"] for name in ("USD0000040", "USD0000050"))
    for job_id in (stored, lacking):
        work(job_id)  # there is no embedder here
    assert [client.get(f"/jobs/{job_id}").json()["state"] for job_id in (stored, lacking)] == ["succeeded", "queued"]
    assert client.get(f"/jobs/{lacking}").json()["error"]["type"] == "unavailable"
    assert [one["state"] for one in pages(client, lacking)] == ["waiting"]


# ---- once and only once


@contextmanager
def at_each_search(patch: pytest.MonkeyPatch, happens: Callable[[int], None], **sizes: int) -> Iterator[None]:
    """Calls `happens` with the number of each search before it is kept; `sizes` are the runner's own."""
    keep, numbers = SearchService.keep, itertools.count(1)

    def watched(self: SearchService, question: Any) -> Any:
        happens(next(numbers))
        return keep(self, question)

    with patch.context() as patched:
        for name, size in sizes.items():
            patched.setattr(batches, name, size)
        patched.setattr(SearchService, "keep", watched)
        yield


def test_a_batch_that_was_interrupted_goes_on_and_does_nothing_twice(
    client: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(session, encoder, DESIGNS)
    job = ask(client, {"patents": [design.id for design in DESIGNS]})

    def dies_in_the_middle(number: int) -> None:
        if number > 21:
            raise OSError("pulled the plug")

    with at_each_search(monkeypatch, dies_in_the_middle, TOGETHER=4, AT_ONCE=2):
        work(job["id"])
    begun = count(session, BatchQuery, BatchQuery.searched_at.is_not(None))
    assert (look(session, UUID(job["id"])).state, 8 <= begun < 24) == ("queued", True)
    assert count(session, Search) == begun == look(session, UUID(job["id"])).done
    states = [one["state"] for one in pages(client, job["id"])]
    assert (states.count("answered"), states.count("waiting")) == (begun, len(DESIGNS) - begun)
    session.execute(update(Job).values(not_before=func.now()))
    session.commit()
    work(job["id"])
    assert_each_is_answered_once(client, session, job["id"])


def assert_each_is_answered_once(client: TestClient, session: Session, job_id: str) -> None:
    """All queries of DESIGNS, by records of which there are no others."""
    ended = client.get(f"/jobs/{job_id}").json()
    assert (ended["state"], ended["progress"]["done"]) == ("succeeded", len(DESIGNS))
    answered = pages(client, job_id)
    assert [one["query"] for one in answered] == [design.id for design in DESIGNS]
    assert count(session, Search) == len(DESIGNS) == len({one["answer"]["search_id"] for one in answered})


def test_a_batch_goes_on_in_the_process_whose_first_group_was_rolled_back(
    client: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process keeps of an encoder from one transaction must not be lost with that transaction."""
    load(session, encoder, DESIGNS)
    first, second = (ask(client, {"patents": [design.id for design in DESIGNS]})["id"] for _ in range(2))
    open_transactions = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
    )

    def cut_the_connection(number: int) -> None:
        if number == 1:
            session.execute(open_transactions)

    with at_each_search(monkeypatch, cut_the_connection, TOGETHER=4, AT_ONCE=1):
        work(first)
    assert look(session, UUID(first)).state == "queued"
    change(session, UUID(first), not_before=func.now())
    for job_id in (second, first):
        work(job_id)
        assert look(session, UUID(job_id)).state == "succeeded", look(session, UUID(job_id)).error


def test_a_batch_whose_worker_is_killed_loses_nothing_and_writes_nothing_twice(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, DESIGNS)
    job = ask(client, {"patents": [design.id for design in DESIGNS]})
    job_id = UUID(job["id"])
    of_second_group = (BatchQuery.job_id == job_id, BatchQuery.ordinal == batches.TOGETHER + 1)
    with workers("linework_api.worker", "search") as start:
        with db.transaction() as holding:
            holding.execute(select(BatchQuery).where(*of_second_group).with_for_update())
            first = start()
            until(lambda: look(session, job_id).done == len(DESIGNS) - batches.TOGETHER)
            first.kill()  # its second group's records are written, and not committed
            first.wait()
            assert look(session, job_id).state == "running"
        start()

        def ended() -> bool:
            nudge("search", job_id)  # as the beat does
            return look(session, job_id).state == "succeeded"

        until(ended)
    assert_each_is_answered_once(client, session, job["id"])


def test_a_cancelled_batch_keeps_what_was_answered(
    client: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(session, encoder, DESIGNS)
    job = ask(client, {"patents": [design.id for design in DESIGNS]})
    runs: list[runner.Run] = []

    def cancelled_in_the_middle(number: int) -> None:
        if number == 9:
            runs[0].interrupted = runner.Cancelled

    def search(run: runner.Run) -> dict[str, object]:
        runs.append(run)
        return worker._search(run)

    with at_each_search(monkeypatch, cancelled_in_the_middle, TOGETHER=2, AT_ONCE=1):
        runner.run_job(UUID(job["id"]), search, engine=worker.searching().engine)
    assert client.get(f"/jobs/{job['id']}").json()["state"] == "cancelled"
    states = [one["state"] for one in pages(client, job["id"])]
    assert (states.count("answered"), states.count("waiting")) == (10, len(DESIGNS) - 10)  # the group ends


def test_the_same_request_with_its_key_is_one_batch(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, DESIGNS)

    def send(week: str) -> Any:
        return client.post("/search/batch", json={"granted": week}, headers={"Idempotency-Key": "once"})

    assert send("2015-W03").json()["id"] == send("2015-W03").json()["id"]
    problem_of(send("2015-W04"), 409, "conflict")
