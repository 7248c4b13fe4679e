"""A training as a Job of Kubernetes: made from the cluster's template, followed, ended."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.store import ObjectStore
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from linework_core import store
from linework_core.errors import Unavailable
from linework_core.jobs import service
from linework_core.settings import Settings
from linework_core.tables import Encoder
from linework_trainer.training import kubernetes
from linework_trainer.training.errors import NoTemplate, ProcessFailed
from linework_trainer.training.launch import launch
from linework_trainer.training.plan import ALIVE, REPORTS
from tests.configured import configured
from tests.trainer.cluster import FakeCluster, template
from tests.trainer.corpus import add_designs
from tests.trainer.test_train_job import look, order_of, run
from tests.waiting import PATIENCE, until


class Quiet:
    """A listener that lets the training be."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def checkpoint(self) -> None:
        pass

    def tell(self, report: dict[str, Any]) -> None:
        self.told.append(report)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, own_servers: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    values = {"CACHE_DIR": str(tmp_path / "cache"), "TRAIN_LOADERS": "0", "TRAIN_LAUNCHER": "kubernetes"}
    with configured(monkeypatch, own_servers | values | {"TRAIN_PROCESSES": "1"}) as settings:
        yield settings


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    cluster = FakeCluster(tmp_path / "account")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))
    monkeypatch.setattr(kubernetes, "MOUNTED", cluster.folder)
    monkeypatch.setattr(kubernetes, "POLL_S", 0.05)
    yield cluster
    cluster.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "training"
    made.mkdir()
    return made


def on_nodes(**more: Any) -> Settings:
    return Settings(_env_file=None, train_launcher="kubernetes", **more)  # type: ignore[call-arg]


def test_two_nodes_train_an_encoder(
    cluster: FakeCluster,
    settings: Settings,
    engine: Engine,
    session: Session,
    objects: ObjectStore,
) -> None:
    cluster.runs = True
    job_id = order_of(session, add_designs(session, objects, 8))
    job = run(job_id, settings, engine)
    assert job.state == "succeeded", job.error
    assert job.done == job.total
    assert session.scalars(select(Encoder.encoder_id)).all() == [(job.result or {})["encoder"]]
    (made,) = cluster.jobs.values()  # it stays, so that its logs can be read, until its time to live is over
    assert made["metadata"]["annotations"]["linework/folder"].startswith(str(job_id))
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "linework-trainer:1"
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    assert {token for _, _, token in cluster.asked} == {"Bearer first"}


def test_a_training_that_is_cancelled_takes_its_pods_with_it(
    cluster: FakeCluster,
    settings: Settings,
    engine: Engine,
    session: Session,
    objects: ObjectStore,
) -> None:
    job_id = order_of(session, add_designs(session, objects, 8))
    worker = threading.Thread(target=lambda: run(job_id, settings, engine))
    worker.start()
    until(lambda: cluster.jobs)
    service.cancel(session, look(session, job_id), owner=None)
    session.commit()
    worker.join(timeout=PATIENCE)
    assert not worker.is_alive()
    assert look(session, job_id).state == "cancelled"
    assert cluster.jobs == {}
    assert ("DELETE", "propagationPolicy=Background") in [(m, p.partition("?")[2]) for m, p, _ in cluster.asked]


def test_lost_pods_are_no_failure_of_the_training_which_goes_on_from_its_kept_state(
    cluster: FakeCluster,
    settings: Settings,
    engine: Engine,
    session: Session,
    objects: ObjectStore,
) -> None:
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "a node went away"}
    cluster.conditions = [{"type": "FailureTarget", "status": "True"}, failed]
    job_id = order_of(session, add_designs(session, objects, 8))
    store.put(objects, f"trainings/{job_id}/state", b"kept")
    job = run(job_id, settings, engine)
    assert job.state == "queued"
    assert "a node went away" in (job.error or {})["detail"]
    assert store.get(objects, f"trainings/{job_id}/state") == b"kept"


def test_what_went_wrong_inside_is_told_as_it_was(cluster: FakeCluster, folder: Path) -> None:
    told = [{"report": {"done": 1}}, {"error": {"type": "training-diverged", "detail": "NaN", "extra": {}}}]
    (folder / REPORTS).write_text("".join(json.dumps(line) + "\n" for line in told))
    cluster.conditions = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "one"}]
    listener = Quiet()
    with pytest.raises(ProcessFailed, match="NaN") as raised:
        launch(folder, listener, on_nodes())
    assert raised.value.type == "training-diverged"
    assert listener.told == [{"done": 1}]


def test_the_pods_are_told_that_somebody_waits_for_them(cluster: FakeCluster, folder: Path) -> None:
    cluster.conditions = [{"type": "Complete", "status": "True"}]
    launch(folder, Quiet(), on_nodes())
    assert time.time() - (folder / ALIVE).stat().st_mtime < 10


def test_an_api_that_is_away_for_a_while_does_not_end_a_training(
    cluster: FakeCluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come_back() -> None:
        while not cluster.jobs:
            time.sleep(0.01)
        cluster.away = True
        (cluster.folder / "token").write_text("second")  # as Kubernetes does every hour
        time.sleep(0.4)
        cluster.conditions = [{"type": "Complete", "status": "True"}]
        cluster.away = False

    threading.Thread(target=come_back).start()
    launch(folder, Quiet(), on_nodes())
    assert {token for _, _, token in cluster.asked} == {"Bearer first", "Bearer second"}

    cluster.conditions, cluster.jobs = [], {}
    monkeypatch.setattr(kubernetes, "PATIENCE_S", 0.2)
    threading.Thread(target=come_back).start()
    with pytest.raises(Unavailable, match="unable to handle"):
        launch(folder, Quiet(), on_nodes())


def test_a_job_that_somebody_removed_is_made_again_later(cluster: FakeCluster, folder: Path) -> None:
    def remove() -> None:
        while not cluster.jobs:
            time.sleep(0.01)
        cluster.jobs.clear()

    threading.Thread(target=remove).start()
    with pytest.raises(Unavailable, match="removed"):
        launch(folder, Quiet(), on_nodes())
    assert "DELETE" not in {method for method, _, _ in cluster.asked}


def test_without_a_template_nothing_is_made(cluster: FakeCluster, folder: Path) -> None:
    with pytest.raises(NoTemplate, match='"elsewhere" not found'):
        launch(folder, Quiet(), on_nodes(train_template="elsewhere"))
    for bad in (template(completionMode="NonIndexed"), template(parallelism=1)):
        cluster.cronjobs["linework-training"] = bad
        with pytest.raises(NoTemplate, match="Indexed"):
            launch(folder, Quiet(), on_nodes())
    assert cluster.jobs == {}


def test_outside_of_a_cluster_it_says_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Unavailable, match="TRAIN_LAUNCHER=kubernetes needs a pod"):
        launch(folder, Quiet(), on_nodes())


def test_the_pods_of_a_job_find_one_another(tmp_path: Path) -> None:
    job = kubernetes.job_of(template(4)["spec"]["jobTemplate"], tmp_path, on_nodes(device="cuda"))
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    options = dict(zip(args[::2], args[1::2], strict=False))
    name = job["metadata"]["name"]
    assert options["--nnodes"] == "4"
    assert options["--nproc-per-node"] == "gpu"
    assert options["--node-rank"] == "$(JOB_COMPLETION_INDEX)"
    assert options["--master-addr"] == f"{name}-0.linework-training"
    assert args[-1] == str(tmp_path)
    another = kubernetes.job_of(template(4)["spec"]["jobTemplate"], tmp_path, on_nodes())
    assert another["metadata"]["name"] != name
