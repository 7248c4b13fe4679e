"""The embedder over HTTP: what it answers, and when it says no."""

import base64
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from linework_core import db, encoders
from linework_core.imaging import open_image
from linework_core.settings import Settings
from linework_embedder import engine
from linework_vision import load, register
from linework_vision.checkpoint import CheckpointConfig, DrawingNet, save_checkpoint
from linework_vision.pictures import Preprocessing
from linework_vision.spec import Spec
from linework_vision.text_tower import load_text_tower
from tests.embedder.conftest import DIMENSION, Online, ScriptedEncoder, Serve, derivative, in_colour, mean_grey
from tests.waiting import PATIENCE, until


def problem_of(response: httpx.Response, status: int, type_: str) -> str:
    """The detail of an RFC 9457 problem document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:linework:problem:{type_}"
    assert body["status"] == status
    return str(body["detail"])


def vectors_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.array(response.json()["vectors"], dtype=np.float32)


def test_drawings_become_unit_vectors_in_their_order(online: Online, scripted: ScriptedEncoder) -> None:
    pictures = [derivative(grey) for grey in (10, 120, 250)]
    found = vectors_of(online.embed(pictures))
    expected = scripted.encode_drawings([scripted.preprocess(open_image(picture)) for picture in pictures])
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.shape == (3, DIMENSION)


def test_texts_become_unit_vectors(online: Online) -> None:
    found = vectors_of(online.client.post("/embed/texts", json={"texts": ["a lamp", "a chair with arms"]}))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_checkpoint_with_a_text_tower_answers_drawings_and_texts(
    serve: Serve, settings: Settings, tmp_path: Path
) -> None:
    tower = load_text_tower("minilm")
    size = Preprocessing(height=64, width=64, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    config = CheckpointConfig(
        name="Tiny", backbone="test_resnet", projection=384, preprocessing=size, text_tower=tower.ref
    )  # fmt: skip
    save_checkpoint(tmp_path / "tiny", DrawingNet(config), config)
    with db.transaction() as session:
        encoders.ensure_active(session, load(str(tmp_path / "tiny")).manifest)
    with serve(settings) as online:
        online.wait_until_ready()
        texts = ["a desk lamp", "a chair with arms"]
        found = vectors_of(online.client.post("/embed/texts", json={"texts": texts}))
        assert found == pytest.approx(tower.encode(texts), abs=1e-6)
        assert vectors_of(online.embed([derivative()])).shape == (1, 384)


def test_the_answer_names_the_encoder_asked_for(serve: Serve, settings: Settings) -> None:
    with db.transaction() as session:
        active = encoders.ensure_active(session, load("debug:8").manifest).encoder_id
        other = encoders.register(session, load("debug:16").manifest).encoder_id
    with serve(settings) as online:
        online.wait_until_ready()
        assert online.embed([derivative()]).json()["encoder"] == active
        answer = online.embed([derivative()], encoder=other)
        assert answer.json()["encoder"] == other
        assert vectors_of(answer).shape == (1, 16)
        problem_of(online.embed([derivative()], encoder="no-such"), 404, "not-found")


def test_the_active_encoder_may_change_while_it_runs(serve: Serve, settings: Settings) -> None:
    with db.transaction() as session:
        encoders.ensure_active(session, load("debug:8").manifest)
    with serve(settings) as online:
        before = online.wait_until_ready()
        with db.transaction() as session:
            other = encoders.register(session, load("debug:16").manifest)
            encoders.mark_ready(session, other)
            encoders.activate(session, other)
        until(lambda: online.wait_until_ready() != before)


def test_the_first_start_makes_the_default_encoder_active(
    serve: Serve, settings: Settings, scripted: ScriptedEncoder
) -> None:
    with serve(settings) as online:
        assert online.wait_until_ready() == scripted.manifest.id
    with db.transaction() as session:
        assert encoders.active(session).encoder_id == scripted.manifest.id


def test_a_model_that_loads_longer_than_a_probe_waits_is_loaded_once_and_then_ready(
    serve: Serve, settings: Settings, scripted: ScriptedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def slow(spec: Spec, device: str, precision: str) -> ScriptedEncoder:
        loads.append(spec)
        time.sleep(1)
        return scripted

    with serve(settings) as online:
        online.wait_until_ready()  # the default encoder is the active one
    register("scripted", slow)
    monkeypatch.setattr(engine, "PROBE_S", 0.2)
    with serve(settings) as online:
        assert online.client.get("/health/ready").status_code == 503
        online.wait_until_ready()
        assert len(loads) == 1


def test_callers_at_the_same_time_share_batches(online: Online, scripted: ScriptedEncoder) -> None:
    def slow(batch: np.ndarray) -> np.ndarray:
        time.sleep(0.05)
        return mean_grey(batch)

    scripted.behaviour = slow
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda grey: online.embed([derivative(grey)]), range(0, 240, 10)))
    assert all(answer.status_code == 200 for answer in answers)
    assert sum(scripted.batches) == 24
    assert len(scripted.batches) < 12
    assert max(scripted.batches) <= 8  # EMBED_BATCH_SIZE


def test_what_cannot_wait_any_more_is_told_when_to_come_back(online: Online, scripted: ScriptedEncoder) -> None:
    release = threading.Event()

    def stuck(batch: np.ndarray) -> np.ndarray:
        release.wait(PATIENCE)
        return mean_grey(batch)

    scripted.behaviour = stuck
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(online.embed, [derivative()] * 16) for _ in range(2)]  # EMBED_QUEUE_LIMIT is 32
        time.sleep(0.5)
        refused = online.embed([derivative()])
        release.set()
        assert "32 items wait" in problem_of(refused, 503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert all(answer.result().status_code == 200 for answer in waiting)
    assert online.embed([derivative()]).status_code == 200


def test_more_than_could_ever_wait_is_too_large(online: Online) -> None:
    problem_of(online.embed([derivative()] * 33), 413, "too-large")


@pytest.mark.parametrize(
    "bad", [b"", b"no picture", derivative()[:60], in_colour(derivative()), derivative(size=(513, 10))]
)
def test_what_is_no_derivative_is_refused_by_its_number(online: Online, bad: bytes) -> None:
    answer = online.embed([derivative(), bad])
    assert "Drawing 1" in problem_of(answer, 422, "unreadable-image")
    assert answer.json()["item"] == 1


def test_a_bad_picture_costs_the_others_in_its_batch_nothing(online: Online) -> None:
    with ThreadPoolExecutor(8) as threads:
        pictures = [derivative(), b"bad"] * 8
        answers = list(threads.map(lambda picture: online.embed([picture]), pictures))
    assert [answer.status_code for answer in answers] == [200, 422] * 8


def test_a_drawing_without_a_finite_vector_fails_alone(online: Online, scripted: ScriptedEncoder) -> None:
    def poisoned(batch: np.ndarray) -> np.ndarray:
        features = mean_grey(batch)
        features[features[:, 0] == 66] = np.nan
        return features

    scripted.behaviour = poisoned
    with ThreadPoolExecutor(8) as threads:
        greys = [10, 66, 20, 30, 40, 50, 60, 70]
        answers = dict(zip(greys, threads.map(lambda grey: online.embed([derivative(grey)]), greys), strict=True))
    problem_of(answers.pop(66), 500, "vector-not-finite")
    assert all(answer.status_code == 200 for answer in answers.values())


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"{}", b'{"drawings": []}', b'{"drawings": [1]}', b'{"drawings": [""], "more": 1}',
        b'{"drawings": "x"}',
    ],
)  # fmt: skip
def test_a_malformed_request_is_answered_with_what_is_wrong(online: Online, body: bytes) -> None:
    answer = online.client.post("/embed/drawings", content=body, headers={"content-type": "application/json"})
    assert problem_of(answer, 422, "invalid-request")


def test_unknown_paths_and_methods_are_problems_too(online: Online) -> None:
    assert online.client.get("/no/such/path").headers["content-type"] == "application/problem+json"
    assert online.client.get("/embed/drawings").status_code == 405


def test_texts_need_a_text_tower(serve: Serve, settings: Settings) -> None:
    with db.transaction() as session:
        encoders.ensure_active(session, load("debug:8").manifest)
    with serve(settings) as online:
        online.wait_until_ready()
        problem_of(online.client.post("/embed/texts", json={"texts": ["a lamp"]}), 422, "no-text-tower")


def test_a_client_that_hangs_up_costs_the_others_nothing(online: Online, scripted: ScriptedEncoder) -> None:
    release = threading.Event()

    def stuck(batch: np.ndarray) -> np.ndarray:
        release.wait(PATIENCE)
        return mean_grey(batch)

    scripted.behaviour = stuck
    body = json.dumps({"drawings": [base64.b64encode(derivative()).decode()]}).encode()
    head = f"POST /embed/drawings HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with socket.socket(socket.AF_UNIX) as leaving:
        leaving.connect(str(online.socket))
        leaving.sendall(head.encode() + b"\r\n\r\n" + body)
        time.sleep(0.2)
    with ThreadPoolExecutor(1) as threads:
        stays = threads.submit(online.embed, [derivative(9)])
        time.sleep(0.2)
        release.set()
        assert stays.result().status_code == 200
    assert online.embed([derivative(10)] * 32).status_code == 200  # nothing of the queue is taken any more


@pytest.mark.parametrize("spec", ["hog", "lbp", "ahdh", "vishash", "sift-fv", "classic"])
def test_describe_tells_what_identifies_an_encoder(online: Online, spec: str) -> None:
    described = online.client.post("/describe", json={"spec": spec})
    assert described.status_code == 200
    assert described.json() == load(spec).manifest.model_dump(mode="json")


@pytest.mark.parametrize(
    ("spec", "status", "type_"),
    [("no-such", 400, "bad-encoder-spec"), ("/no/folder", 422, "model-not-allowed"), ("", 422, "invalid-request")],
)
def test_describe_refuses_what_cannot_be_loaded(online: Online, spec: str, status: int, type_: str) -> None:
    problem_of(online.client.post("/describe", json={"spec": spec}), status, type_)


@pytest.mark.parametrize("spec", ["checkpoint:{}", "open_clip:local-dir:{}", "timm:test_resnet;weights={}"])
def test_describe_does_not_tell_which_files_there_are(online: Online, spec: str) -> None:
    answers = {
        problem_of(online.client.post("/describe", json={"spec": spec.format(path)}), 422, "model-not-allowed").replace(
            path, "PATH"
        )
        for path in ("/etc/passwd", "/etc", "/no/such/file")
    }
    assert len(answers) == 1


def test_weights_that_are_not_those_registered_embed_nothing(serve: Serve, settings: Settings) -> None:
    registered = load("debug:8").manifest.model_copy(update={"id": "debug-8-old", "content_hash": "f" * 64})
    with db.transaction() as session:
        encoders.ensure_active(session, registered)
    with serve(settings) as online:
        answer = online.embed([derivative()])
        assert "debug-8-old" in problem_of(answer, 500, "encoder-changed")
        problem_of(online.client.get("/health/ready"), 503, "unavailable")


def test_health_tells_of_a_model_that_fails_and_of_its_recovery(online: Online, scripted: ScriptedEncoder) -> None:
    assert online.client.get("/health/live").status_code == 200

    def broken(batch: np.ndarray) -> np.ndarray:
        raise RuntimeError("kernel")

    scripted.behaviour = broken
    problem_of(online.embed([derivative()]), 500, "internal-error")
    until(lambda: online.client.get("/health/ready").status_code == 503)  # it was measured a second ago
    problem_of(online.client.get("/health/ready"), 503, "unavailable")
    assert online.client.get("/health/live").status_code == 200
    scripted.behaviour = mean_grey
    until(lambda: online.client.get("/health/ready").status_code == 200)
    assert online.deaths == []


def test_a_dead_engine_is_neither_ready_nor_alive_and_asks_to_be_started_again(
    online: Online, scripted: ScriptedEncoder
) -> None:
    def dead(batch: np.ndarray) -> np.ndarray:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    scripted.behaviour = dead
    assert online.embed([derivative()]).status_code == 500
    scripted.behaviour = mean_grey  # nothing can be expected of such a process any more
    problem_of(online.client.get("/health/ready"), 503, "engine-died")
    problem_of(online.client.get("/health/live"), 503, "engine-died")
    problem_of(online.embed([derivative()]), 503, "engine-died")
    assert len(online.deaths) == 1


def test_it_is_not_ready_while_the_database_is_down_but_lives(
    serve: Serve, settings: Settings, scripted: ScriptedEncoder
) -> None:
    nowhere = settings.model_copy(update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"})
    with serve(nowhere) as online:
        assert "database" in problem_of(online.client.get("/health/ready"), 503, "unavailable")
        assert online.client.get("/health/live").status_code == 200


def test_metrics_tell_of_batches(online: Online) -> None:
    online.embed([derivative()])
    metrics = online.client.get("/metrics").text
    assert 'linework_embedder_items_total{kind="drawing",outcome="embedded"}' in metrics
    assert "linework_embedder_batch_items_bucket" in metrics


def test_the_openapi_description_names_the_problems(online: Online) -> None:
    paths = online.client.get("/openapi.json").json()["paths"]
    assert {"404", "413", "422", "503"} <= paths["/embed/drawings"]["post"]["responses"].keys()
