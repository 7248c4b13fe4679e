"""POST /evaluate and what comes of it: through the gateway, and through the trainer's job on a real database."""

import csv
import datetime as dt
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from linework_core import corpus, encoders, store
from linework_core.jobs import runner
from linework_core.jobs.runner import HandedBack
from linework_core.settings import Settings
from linework_core.tables import Description, Drawing, Embedding, Encoder, Evaluation, Filterable, Job, Patent
from linework_trainer.evaluation.job import evaluate
from linework_vision import load as load_encoder
from tests.api.conftest import (
    DIMENSION,
    Design,
    as_caller,
    draw,
    load,
    look,
    problem_of,
    require_keys,
    store_pictures,
    unit,
)
from tests.waiting import until

Ask = Callable[..., dict[str, Any]]


def near(seed: int, number: int) -> tuple[float, ...]:
    """A vector beside that of a design."""
    noise = np.random.default_rng([seed, number]).normal(size=DIMENSION)
    row = np.array(unit(seed)) + 0.05 * noise
    return tuple(float(value) for value in row / np.linalg.norm(row))


def designs(count: int = 12) -> list[Design]:
    """Patents a year apart, two drawings each, of classes that resemble themselves; each cites the one before."""
    return [
        Design(
            f"USD00000{number:02}", [near(number % 3, 2 * number), near(number % 3, 2 * number + 1)],
            granted=dt.date(2000 + number, 5, 5), locarno=f"0{number % 3 + 1}-01", title=f"Thing {number}",
            cites=(f"USD{number - 1}",) if number > 1 else (),
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


@pytest.fixture
def ask(client: TestClient, engine: Engine, session: Session, environment: Settings) -> Ask:
    """Asks for an evaluation, runs its job here, and returns what the gateway says of it."""

    def asked(**wanted: Any) -> dict[str, Any]:
        response = client.post("/evaluate", json={"pictures": False, **wanted})
        assert response.status_code == 202, response.text
        job = run_here(session, response.json()["id"], environment)
        assert job.state == "succeeded", job.error
        assert job.done == job.total
        found = client.get(f"/evaluations/{job.id}")
        assert found.status_code == 200, found.text
        evaluation: dict[str, Any] = found.json()
        return evaluation

    return asked


def run_here(session: Session, job_id: str, settings: Settings) -> Job:
    runner.run_job(UUID(job_id), lambda run: evaluate(run, settings, store.get_store()))
    return look(session, UUID(job_id))


def test_class_temporal_measures_what_was_known_before_each_query(session, encoder, ask) -> None:
    snapshot = load(session, encoder, designs())
    found = ask(protocol="class-temporal", seed=3)
    assert found["encoder"]["id"] == encoder.encoder_id
    assert (found["snapshot"], found["seed"], found["protocol"]) == (snapshot, 3, "class-temporal")
    everyone = found["results"]["all"]
    # the first of each of the three classes finds nothing of its class that is older
    assert (everyone["queries"], everyone["judged"], everyone["skipped"]) == (24, 18, 6)
    assert everyone["mean"]["map"] == pytest.approx(1.0)
    assert everyone["classes"] == 3
    assert len(found["results"]["head_classes"]) == 1
    assert found["results"]["head"]["queries"] + found["results"]["tail"]["queries"] == 24


def test_same_patent_and_citation_temporal(session, encoder, ask) -> None:
    load(session, encoder, designs())
    assert ask(protocol="same-patent")["results"]["all"]["judged"] == 24
    cited = ask(protocol="citation-temporal")["results"]["all"]
    assert (cited["judged"], cited["skipped"]) == (22, 2)
    assert 0 < cited["mean"]["map"] < 1  # what is cited is of another class here


def test_an_older_snapshot_is_evaluated_as_it_was(session, encoder, ask) -> None:
    snapshot = load(session, encoder, designs(6))
    before = ask(protocol="class-temporal", snapshot=snapshot)
    load(session, encoder, [Design("USD0000099", [unit(0)], granted=dt.date(1999, 1, 1), locarno="01-01")])
    patent = session.scalars(select(Patent).where(Patent.patent_id == "USD0000001")).one()
    corpus.close_patent(session, patent, corpus.next_snapshot(session))
    session.commit()
    after = ask(protocol="class-temporal", snapshot=snapshot)
    assert after["results"] == before["results"]
    assert ask(protocol="class-temporal")["results"] != before["results"]


def test_an_encoder_is_evaluated_on_a_corpus_older_than_itself(session, encoder, ask) -> None:
    snapshot = load(session, encoder, designs(6))
    later = encoders.register(session, load_encoder("debug:4").manifest)
    late_snapshot = corpus.next_snapshot(session)
    for row in session.scalars(select(Embedding)).all():
        facts = {
            name: getattr(row, name) for name in Filterable.__annotations__ if name not in ("added_in", "removed_in")
        }
        session.add(
            Embedding(
                **facts, encoder=later.number, drawing_row=row.drawing_row, drawing_id=row.drawing_id,
                derivative=row.derivative, vector=list(row.vector)[:4], added_in=late_snapshot,
            )
        )  # fmt: skip
    session.commit()
    found = ask(protocol="class-temporal", encoder=later.encoder_id, snapshot=snapshot)["results"]
    assert (found["items"], found["without_vector"]) == (12, 0)


def test_queries_are_bounded_by_date_and_number_and_the_head_is_counted_on_what_came_before(
    session, encoder, ask
) -> None:
    load(session, encoder, [*designs(), Design("USD0000088", [unit(1)], granted=dt.date(2030, 1, 1), locarno="09-09")])
    found = ask(protocol="class-temporal", after="2008-01-01", before="2012-01-01")
    assert found["results"]["all"]["queries"] == 8
    assert found["results"]["head_classes"] == ["02-01"]  # 1, 4 and 7 were granted before 2008
    assert ask(protocol="class-temporal", sample=5)["results"]["all"]["queries"] == 5


def test_what_has_no_date_or_no_vector_is_counted(session, encoder, ask) -> None:
    undated = Design("USD0000077", [unit(0)], granted=None, locarno="01-01")
    load(session, encoder, [*designs(3), undated, Design("USD0000078", [None])])
    results = ask(protocol="class-temporal")["results"]
    assert (results["drawings"], results["without_vector"], results["undated"]) == (8, 1, 1)
    assert results["all"]["queries"] == 6


def test_pictures_and_the_table_of_queries_are_kept(session, encoder, ask, client) -> None:
    load(session, encoder, designs())
    store_pictures(session, original=draw(80, 50))
    found = ask(protocol="class-temporal", pictures=True)
    assert set(found["artefacts"]) == {"queries.csv", "database-size.png", "retrieval.png", "tsne.png"}
    for name, address in found["artefacts"].items():
        got = client.get(address)
        assert got.status_code == 200
        if name.endswith(".png"):
            assert Image.open(io.BytesIO(got.content)).format == "PNG"
    table = list(csv.DictReader(io.StringIO(client.get(found["artefacts"]["queries.csv"]).text)))
    assert len(table) == 24
    values = [float(row["map"]) for row in table if row["map"]]
    assert np.mean(values) == pytest.approx(found["results"]["all"]["mean"]["map"], abs=1e-5)
    points = found["results"]["growth"]
    assert [point["share"] for point in points] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    assert points[-1]["map"] == pytest.approx(found["results"]["all"]["mean"]["map"])


def test_the_same_request_on_the_same_snapshot_gives_the_same_evaluation(session, encoder, ask) -> None:
    load(session, encoder, designs())
    wanted = {"protocol": "class-temporal", "sample": 10, "seed": 7}
    first, second = ask(**wanted), ask(**wanted)
    assert first["results"] == second["results"]
    tables = [session.get_one(Evaluation, UUID(one["id"])).artefacts["queries.csv"] for one in (first, second)]
    assert tables[0] == tables[1]


def test_a_corpus_without_relevant_drawings_gives_no_means_and_no_pictures(session, encoder, ask) -> None:
    load(session, encoder, [Design("USD0000001"), Design("USD0000002", locarno=None)])
    found = ask(protocol="class-temporal", pictures=True)
    assert found["results"]["all"]["mean"]["map"] is None
    assert set(found["artefacts"]) == {"queries.csv"}


def test_an_empty_corpus_can_be_evaluated(encoder, ask) -> None:
    assert ask(protocol="same-patent")["results"]["all"]["queries"] == 0


@pytest.fixture
def with_texts(session: Session, environment: Settings) -> Encoder:
    """An encoder whose texts have unrelated vectors, on designs whose first drawings are described."""
    encoder = encoders.ensure_active(session, load_encoder("debug:8;text=true").manifest)
    session.commit()
    load(session, encoder, designs())
    job = session.scalars(select(Job)).first()
    assert job is not None
    snapshot = corpus.next_snapshot(session)
    for drawing in session.scalars(select(Drawing).where(Drawing.number == 1)):
        texts = [{"text": f"{drawing.drawing_id} text {n}", "language": "en"} for n in range(4)]
        session.add(
            Description(
                drawing_row=drawing.row_id, drawing_id=drawing.drawing_id, patent_id=drawing.patent_id, texts=texts,
                provider="template", prompt="0", facts="0", recipe="0", job_id=job.id, added_in=snapshot,
            )
        )  # fmt: skip
    session.commit()
    return encoder


@pytest.mark.parametrize("texts", ["descriptions", "titles"])
def test_drawings_and_texts_find_each_other_by_vectors_alone(with_texts, ask, texts: str) -> None:
    by_text = ask(protocol="text-to-drawing", texts=texts, pictures=True)
    assert (by_text["results"]["all"]["judged"], by_text["results"]["items"]) == (12, 24)
    by_drawing = ask(protocol="drawing-to-text", texts=texts)
    assert (by_drawing["results"]["all"]["judged"], by_drawing["results"]["items"]) == (24, 12)
    assert "retrieval.png" in by_text["artefacts"]
    for found in (by_text, by_drawing):
        assert 0 < found["results"]["all"]["mean"]["map"] < 1


def test_the_encoder_that_embeds_texts_must_be_the_registered_one(session, with_texts, client, environment) -> None:
    session.merge(with_texts).content_hash = "f" * 64
    session.commit()
    asked = client.post("/evaluate", json={"protocol": "text-to-drawing"}).json()
    job = run_here(session, asked["id"], environment)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["type"] == "encoder-changed"


def test_an_evaluation_that_was_interrupted_is_made_when_it_is_run_again(
    session, encoder, client, environment, monkeypatch
) -> None:
    load(session, encoder, designs())
    asked = client.post("/evaluate", json={"protocol": "class-temporal"}).json()

    def handed_back(run):
        evaluate(run, environment, store.get_store())
        raise HandedBack

    runner.run_job(UUID(asked["id"]), handed_back)
    assert look(session, UUID(asked["id"])).state == "queued"
    made = session.get_one(Evaluation, UUID(asked["id"])).created_at
    job = run_here(session, asked["id"], environment)
    assert job.state == "succeeded"
    assert (job.done, job.total) == (24, 24)
    assert session.get_one(Evaluation, job.id).created_at == made  # written once


def test_a_cancelled_evaluation_stops(session, encoder, client, environment) -> None:
    load(session, encoder, designs())
    asked = client.post("/evaluate", json={"protocol": "class-temporal"}).json()
    client.delete(f"/jobs/{asked['id']}")
    assert run_here(session, asked["id"], environment).state == "cancelled"
    problem_of(client.get(f"/evaluations/{asked['id']}"), 404, "not-found")


@pytest.mark.parametrize(
    ("wanted", "status", "kind"),
    [
        ({}, 422, "invalid-request"),
        ({"protocol": "same-class"}, 422, "invalid-request"),
        ({"protocol": "same-patent", "queries": 3}, 422, "invalid-request"),
        ({"protocol": "same-patent", "snapshot": 10**9}, 422, "invalid-request"),
        ({"protocol": "same-patent", "after": "2020-01-01", "before": "2020-01-01"}, 422, "invalid-request"),
        ({"protocol": "text-to-drawing"}, 422, "invalid-request"),
        ({"protocol": "same-patent", "encoder": "nobody"}, 404, "not-found"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    client: TestClient, encoder: Encoder, wanted: dict[str, Any], status: int, kind: str
) -> None:
    problem_of(client.post("/evaluate", json=wanted), status, kind)


def test_without_an_index_there_is_nothing_to_evaluate(client: TestClient) -> None:
    problem_of(client.post("/evaluate", json={"protocol": "same-patent"}), 503, "unavailable")


def test_the_same_key_gets_the_same_job(client: TestClient, encoder: Encoder) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/evaluate", json={"protocol": "same-patent"}, headers=headers)
    second = client.post("/evaluate", json={"protocol": "same-patent"}, headers=headers)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["location"] == f"/jobs/{first.json()['id']}"
    problem_of(client.post("/evaluate", json={"protocol": "class-temporal"}, headers=headers), 409, "conflict")


def test_an_artefact_that_was_not_made_is_not_found(session, encoder, ask, client) -> None:
    load(session, encoder, designs(3))
    found = ask(protocol="class-temporal")
    problem_of(client.get(f"/evaluations/{found['id']}/artefacts/tsne.png"), 404, "not-found")
    problem_of(client.get(f"/evaluations/{found['id']}/artefacts/..%2Fx"), 404, "not-found")


def test_anyone_who_searches_may_read_evaluations(session, encoder, ask, monkeypatch) -> None:
    from linework_api.app import create_app

    load(session, encoder, designs(3))
    found = ask(protocol="class-temporal")
    require_keys(monkeypatch, anna=["search"], bert=["train"])
    with TestClient(create_app()) as keyed:
        assert keyed.get(f"/evaluations/{found['id']}", headers=as_caller("anna")).status_code == 200
        problem_of(keyed.get(f"/evaluations/{found['id']}", headers=as_caller("bert")), 403, "forbidden")


def test_the_worker_runs_what_waits_and_ends_when_asked(session, encoder, client, environment) -> None:
    load(session, encoder, designs())
    asked = client.post("/evaluate", json={"protocol": "class-temporal", "pictures": False}).json()
    celery = [sys.executable, "-m", "celery", "-A", "linework_trainer.worker", "worker", "-Q", "evaluate", "-P", "solo"]
    worker = subprocess.Popen(celery, env=dict(os.environ))
    try:
        until(lambda: look(session, UUID(asked["id"])).state == "succeeded")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_that_waits_has_no_torch_loaded() -> None:
    code = "import sys, linework_trainer.worker; print(sorted({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
