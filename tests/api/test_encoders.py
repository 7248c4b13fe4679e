"""Encoders over their whole life: built, activated, cancelled, removed."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session

from linework_core import completeness, encoder_removal, encoders, failures
from linework_core.corpus import carry_vectors_over, close_patent, next_snapshot, open_patent
from linework_core.db import transaction
from linework_core.errors import Conflict
from linework_core.jobs import service
from linework_core.jobs.reconcile import plan_embedding, reconcile
from linework_core.manifest import EncoderManifest
from linework_core.tables import (
    Description,
    DescriptionVector,
    Drawing,
    Embedding,
    EmbedFailure,
    Encoder,
    Job,
    VectorIndex,
)
from tests import descriptions
from tests.api import batching
from tests.api.conftest import DIMENSION, Design, count, load, look, problem_of, unit
from tests.api.test_search import search

ONE = Design("USD0000001", [unit(1)])
TWO = Design("USD0000002", [unit(2)])
NOW = dt.timedelta(0)
TINY = EncoderManifest(
    id="tiny-1", name="tiny", spec="debug:8", content_hash="1" * 64, dimension=DIMENSION, has_text=False
)


def other(session: Session, number: int = 2, *, has_text: bool = False) -> Encoder:
    """Another encoder, its index empty and being built."""
    manifest = EncoderManifest(
        id=f"other-{number}", name="other", spec=f"debug:{number}", content_hash=str(number) * 64, dimension=DIMENSION,
        has_text=has_text,
    )  # fmt: skip
    made = encoders.register(session, manifest)
    session.commit()
    return made


def embed(session: Session, encoder: Encoder, *, but: int = 0) -> None:
    """Vectors for all drawings, `but` so many; as the worker would, it says that the index is ready."""
    rows = session.scalars(select(Drawing).where(Drawing.removed_in.is_(None)).order_by(Drawing.row_id)).all()
    snapshot = next_snapshot(session)
    columns = ("drawing_id", "derivative", "patent_id", "office", "granted", "filed", "priority", "locarno", "view")
    for drawing in rows[: len(rows) - but]:
        facts = {name: getattr(drawing, name) for name in columns}
        session.add(
            Embedding(
                encoder=encoder.number,
                drawing_row=drawing.row_id,
                vector=list(unit(drawing.row_id)),
                added_in=snapshot,
                **facts,
            )
        )  # fmt: skip
    encoders.mark_ready(session, encoder)
    session.commit()


def fail(session: Session, encoder: Encoder, patent: str) -> None:
    """The patent's drawings cannot be embedded."""
    rows = session.scalars(select(Drawing.row_id).where(Drawing.patent_id == patent))
    reasons = [{"encoder": encoder.number, "drawing_row": row, "reason": "not-found"} for row in rows]
    failures.record(session, EmbedFailure, reasons)
    session.commit()


def state(session: Session, encoder: Encoder) -> VectorIndex:
    session.rollback()
    return session.get_one(VectorIndex, encoder.number, populate_existing=True)


# ---- what is missing


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_drawing_that_cannot_be_embedded_keeps_nobody_busy(
    session: Session, encoder: Encoder, engine: Engine, client: TestClient
) -> None:
    load(session, encoder, [ONE, Design("USD0000002", [None])])
    fail(session, encoder, "USD0000002")
    reconcile()
    assert count(session, Job, Job.kind == "embed") == 0
    with statements(engine) as sent:
        reconcile()
    assert [one for one in sent if "FOR UPDATE" in one or "corpus" in one] == []
    assert [one for one in sent if "FROM drawings" in one and "embeddings" in one] == []  # no comparison of the two
    answer = search(client, drawing="USD0000001-S_1")
    assert answer["unindexed"] == 1
    assert client.get("/corpus").json()["indexes"][0]["failed"] == 1


def test_the_beat_waits_for_no_ingest_and_holds_none_up(session: Session, encoder: Encoder, engine: Engine) -> None:
    load(session, encoder, [ONE, Design("USD0000002", [None])])
    fail(session, encoder, "USD0000002")
    with engine.begin() as ingest:
        ingest.execute(text("SELECT snapshot FROM corpus FOR UPDATE"))
        with transaction(engine) as beat:
            beat.execute(text("SET LOCAL lock_timeout = '2s'"))
            plan_embedding(beat)
    assert state(session, encoder).tried_at == 1


def test_a_failure_is_tried_again_when_its_pause_is_over(session: Session, encoder: Encoder) -> None:
    load(session, encoder, [ONE, Design("USD0000002", [None])])
    fail(session, encoder, "USD0000002")
    reconcile()
    session.execute(text("UPDATE embed_failures SET next_try_at = now() - interval '1 second'"))
    session.commit()
    reconcile()
    assert count(session, Job, Job.kind == "embed") == 1


def test_a_new_drawing_is_noticed_beside_one_that_cannot_be_embedded(session: Session, encoder: Encoder) -> None:
    load(session, encoder, [ONE, Design("USD0000002", [None])])
    fail(session, encoder, "USD0000002")
    reconcile()
    load(session, encoder, [Design("USD0000003", [None])])
    reconcile()
    assert count(session, Job, Job.kind == "embed") == 1


def test_an_index_is_complete_once_what_failed_is_withdrawn(session: Session, encoder: Encoder) -> None:
    load(session, encoder, [ONE, Design("USD0000002", [None])])
    fail(session, encoder, "USD0000002")
    reconcile()
    assert state(session, encoder).complete_at is None
    patent = open_patent(session, "USD0000002")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    reconcile()
    assert state(session, encoder).complete_at == 2


def test_what_is_added_during_the_look_is_not_taken_for_seen(
    session: Session, encoder: Encoder, engine: Engine
) -> None:
    """A drawing comes between the comparison and the note."""
    load(session, encoder, [ONE])
    came = False

    def come(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal came
        if "corpus.snapshot" in statement and "max(drawings.added_in)" in statement and not came:
            came = True
            load(session, encoder, [Design("USD0000002", [None])])

    event.listen(engine, "before_cursor_execute", come)
    try:
        with transaction(engine) as looking:
            assert not completeness.note(looking, encoder, completeness.DRAWINGS)
    finally:
        event.remove(engine, "before_cursor_execute", come)
    assert came
    assert state(session, encoder).complete_at is None


# ---- activation


def test_an_index_that_is_being_built_is_not_activated(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [ONE])
    other(session)
    problem = problem_of(client.post("/encoders/other-2/activate"), 409, "conflict")
    assert (problem["indexed"], problem["drawings"], problem["active_indexed"]) == (0, 1, 1)
    assert "still being built" in problem["detail"]


def test_an_empty_index_is_not_activated_while_it_is_being_built(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000002", [None])])  # the active one holds nothing either
    other(session)
    problem_of(client.post("/encoders/other-2/activate"), 409, "conflict")


def test_an_index_with_fewer_drawings_than_the_active_one_is_not_activated(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [ONE, TWO])
    second = other(session)
    embed(session, second, but=1)
    problem = problem_of(client.post("/encoders/other-2/activate"), 409, "conflict")
    assert (problem["indexed"], problem["active_indexed"]) == (1, 2)


def test_an_index_with_fewer_descriptions_than_the_active_one_is_not_activated(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [ONE])
    speaking, second = other(session, 3, has_text=True), other(session, 4, has_text=True)
    for one in (speaking, second):
        embed(session, one)
    descriptions.describe(session, "USD0000001-S_1", "a lamp")
    described = session.scalars(select(Description)).one()
    vector = {"description": described.id, "drawing_row": described.drawing_row, "vector": list(unit(1))}
    session.add(DescriptionVector(encoder=speaking.number, added_in=next_snapshot(session), **vector))
    session.commit()
    assert client.post("/encoders/other-3/activate").status_code == 200
    problem = problem_of(client.post("/encoders/other-4/activate"), 409, "conflict")
    assert (problem["described"], problem["active_described"]) == (0, 1)
    session.add(DescriptionVector(encoder=second.number, added_in=next_snapshot(session), **vector))
    session.commit()
    assert client.post("/encoders/other-4/activate").status_code == 200


def test_a_drawing_that_the_former_index_could_not_embed_does_not_bar_the_way_back(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [ONE])
    second = other(session)
    embed(session, second)
    assert client.post("/encoders/other-2/activate").status_code == 200
    load(session, second, [TWO])
    problem_of(client.post("/encoders/tiny-1/activate"), 409, "conflict")
    fail(session, encoder, "USD0000002")
    assert client.post("/encoders/tiny-1/activate").json()["state"] == "active"


# ---- cancelling


def test_a_cancelled_index_stays_cancelled_until_somebody_asks_for_it(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [Design("USD0000001", [None])])
    reconcile()
    [job] = session.scalars(select(Job.id).where(Job.kind == "embed"))
    assert client.delete(f"/jobs/{job}").json()["state"] == "cancelled"
    load(session, encoder, [Design("USD0000002", [None])])
    reconcile()
    assert count(session, Job, Job.kind == "embed") == 1
    assert client.get("/encoders/tiny-1").json()["paused"]
    again = client.post("/embed", json={})
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    assert not client.get("/encoders/tiny-1").json()["paused"]
    assert look(session, again.json()["id"]).state == "queued"


# ---- removing


def clear(session: Session, engine: Engine) -> None:
    """The beat, a minute later; this test's own transaction is not in its way."""
    session.rollback()
    encoder_removal.sweep(engine, grace=NOW)


def retire(session: Session, encoder: Encoder) -> Encoder:
    """Another encoder answers searches from now on."""
    second = other(session)
    embed(session, second)
    encoders.activate(session, second)
    session.commit()
    return second


def test_the_active_encoder_is_not_removed(client: TestClient, encoder: Encoder) -> None:
    assert "activate another" in problem_of(client.delete("/encoders/tiny-1"), 409, "conflict")["detail"]
    problem_of(client.delete("/encoders/no-such"), 404, "not-found")


def test_a_removed_encoder_leaves_its_name_and_the_records_that_name_it(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine
) -> None:
    load(session, encoder, [ONE, TWO])
    fail(session, encoder, "USD0000002")
    asked = search(client, drawing="USD0000001-S_1")
    retire(session, encoder)
    for _ in range(2):  # asking twice is asking once
        assert client.delete("/encoders/tiny-1").status_code == 204
    encoder_removal.sweep(engine)
    assert count(session, Embedding, Embedding.encoder == encoder.number) == 2  # searches under way have a minute
    clear(session, engine)
    assert count(session, Embedding, Embedding.encoder == encoder.number) == 0
    assert session.scalar(select(func.to_regclass(encoders.partition(encoder)))) is None
    assert count(session, EmbedFailure) == 0
    assert client.get("/encoders/tiny-1").json()["state"] == "removed"
    assert [one["id"] for one in client.get("/encoders").json()["encoders"]] == ["other-2"]
    assert [one["encoder"] for one in client.get("/corpus").json()["indexes"]] == ["other-2"]

    record = client.get(f"/searches/{asked['search_id']}").json()
    assert record["answer"]["hits"] == asked["hits"]
    assert record["answer"]["encoder"]["id"] == "tiny-1"
    for method, path in (("POST", "replay"), ("GET", "clusters")):
        answer = client.request(method, f"/searches/{asked['search_id']}/{path}")
        assert problem_of(answer, 410, "gone")["encoder"] == "tiny-1"
    for path, body in (("/encoders/tiny-1/activate", None), ("/embed", {"encoder": "tiny-1"})):
        problem_of(client.post(path, json=body), 410, "gone")
    assert search(client, drawing="USD0000001-S_1")["encoder"]["id"] == "other-2"


def test_a_walk_through_pages_ends_with_the_vectors_that_it_is_ranked_by(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine
) -> None:
    load(session, encoder, [Design(f"USD{number:07}", [unit(number)]) for number in range(1, 7)])
    asked = {"drawing": "USD0000001-S_1", "limit": 2}
    first = search(client, **asked)
    second = search(client, **asked, cursor=first["next"])
    retire(session, encoder)
    client.delete("/encoders/tiny-1")
    clear(session, engine)
    assert search(client, **asked, cursor=first["next"])["hits"] == second["hits"]  # of the record
    problem_of(client.get("/search", params=asked | {"cursor": second["next"]}), 410, "gone")


def test_a_batch_that_waits_for_a_removed_encoder_says_so(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine, fresh_worker: None
) -> None:
    load(session, encoder, [ONE, TWO])
    job = batching.ask(client, {"patents": ["USD0000001"]})
    retire(session, encoder)
    client.delete("/encoders/tiny-1")
    clear(session, engine)
    batching.work(job["id"])
    assert client.get(f"/jobs/{job['id']}").json()["result"]["set_aside"] == {"gone": 1}


def test_nobody_embeds_with_a_removed_encoder_though_it_was_retired_last(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [ONE])
    second = retire(session, encoder)
    running = service.ensure_embed_job(session, encoder).id
    session.commit()
    client.delete("/encoders/tiny-1")
    assert look(session, running).state == "cancelled"
    load(session, second, [Design("USD0000003", [None])])
    reconcile()
    asked = {job.params["encoder"] for job in session.scalars(select(Job).where(Job.state == "queued"))}
    assert asked == {"other-2"}


def test_vectors_are_not_cleared_away_under_a_job_that_still_runs(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine
) -> None:
    load(session, encoder, [ONE])
    retire(session, encoder)
    running = service.ensure_embed_job(session, encoder)
    running.state, running.lease_until = "running", func.now() + dt.timedelta(hours=1)
    session.commit()
    client.delete("/encoders/tiny-1")
    clear(session, engine)
    assert look(session, running.id).cancel_requested
    assert count(session, Embedding, Embedding.encoder == encoder.number) == 1


def test_clearing_away_is_taken_up_again_where_it_was_interrupted(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that stays open keeps the partition from going; the next beat finishes what was begun."""
    load(session, encoder, [ONE])
    retire(session, encoder)
    client.delete("/encoders/tiny-1")
    monkeypatch.setattr(encoder_removal, "LOCK_TIMEOUT", "200ms")
    with engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM embeddings"))
        clear(session, engine)
        assert session.scalar(select(func.to_regclass(encoders.partition(encoder)))) is not None
        with pytest.raises(Conflict, match="being cleared away"):
            encoders.register(session, TINY)
        session.rollback()
        assert search(client, drawing="USD0000001-S_1")["eligible"] == 0  # others go on
    clear(session, engine)
    session.rollback()
    assert session.scalar(select(func.to_regclass(encoders.partition(encoder)))) is None


def test_a_removed_encoder_may_be_registered_again_but_old_searches_are_not_replayed(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine
) -> None:
    load(session, encoder, [ONE, TWO])
    asked = search(client, drawing="USD0000001-S_1")["search_id"]
    retire(session, encoder)
    client.delete("/encoders/tiny-1")
    assert encoders.register(session, TINY).number == encoder.number
    session.commit()
    clear(session, engine)
    assert count(session, Embedding, Embedding.encoder == encoder.number) == 2  # they were taken back in time
    assert client.delete("/encoders/tiny-1").status_code == 204
    clear(session, engine)
    assert encoders.register(session, TINY).number == encoder.number
    session.commit()
    clear(session, engine)  # does not touch it any more
    embed(session, encoder)
    assert client.get("/encoders/tiny-1").json()["state"] == "ready"
    problem_of(client.post(f"/searches/{asked}/replay"), 410, "gone")


def test_ingest_goes_on_while_vectors_are_cleared_away(
    client: TestClient, session: Session, encoder: Encoder, engine: Engine, threads: ThreadPoolExecutor
) -> None:
    load(session, encoder, [Design(f"USD{number:07}", [unit(number)]) for number in range(1, 40)])
    second = retire(session, encoder)
    client.delete("/encoders/tiny-1")

    def correct(number: int) -> None:
        """A correction carries the vectors of all encoders over."""
        with transaction(engine) as writing:
            old = open_patent(writing, f"USD{number:07}")
            assert old is not None
            carry_vectors_over(writing, old, old, next_snapshot(writing))

    corrected = threads.map(correct, range(1, 40))
    for _ in range(20):
        clear(session, engine)
    list(corrected)
    clear(session, engine)
    assert count(session, Embedding, Embedding.encoder == encoder.number) == 0
    assert count(session, Embedding, Embedding.encoder == second.number) == 39
