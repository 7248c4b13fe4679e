"""A training as a Job of Kubernetes: pods on several nodes that torchrun ties together.

What such a pod is — its image, GPUs, node pool, volumes — is the cluster's business: a CronJob that never runs by
itself is the template, and its `completions` is the number of nodes. The pods share with the worker the volume on which
the training's folder lies, and tell through its files, as processes on one machine do.
"""

import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog

from linework_core.errors import Unavailable
from linework_core.settings import Settings
from linework_trainer.training.errors import NoTemplate

log = structlog.get_logger()
MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where every pod finds who it is
PORT = 29500
POLL_S = 2.0
PATIENCE_S = 300.0  # how long the API may be away, as it is while a control plane is upgraded
Over = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Kubernetes API and who asks it."""

    url: str
    namespace: str
    token_file: Path
    ca_file: Path

    @classmethod
    def of_this_pod(cls) -> "Cluster":
        """Raises Unavailable outside of a cluster, or in a pod without a token."""
        try:
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            namespace = (MOUNTED / "namespace").read_text().strip()
        except (KeyError, OSError) as error:
            raise Unavailable(f"TRAIN_LAUNCHER=kubernetes needs a pod with a token of its account: {error}") from None
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", namespace, MOUNTED / "token", MOUNTED / "ca.crt")


class Jobs:
    """What a trainer may do in its namespace: read one template, make Jobs, look at them, remove them."""

    def __init__(self, cluster: Cluster) -> None:
        self._base = f"{cluster.url}/apis/batch/v1/namespaces/{cluster.namespace}"
        self._token_file = cluster.token_file
        verify = ssl.create_default_context(cafile=cluster.ca_file)
        self._http = httpx.Client(timeout=10.0, verify=verify, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def template(self, name: str) -> dict[str, Any]:
        """The Job that a CronJob would make. Raises NoTemplate, Unavailable."""
        answer = self._ask("GET", f"/cronjobs/{name}")
        if answer.status_code in (403, 404):
            raise NoTemplate(f"The trainer cannot read the CronJob {name}, its template: {_message(answer)}")
        template: dict[str, Any] = _checked(answer)["spec"]["jobTemplate"]
        return template

    def create(self, job: dict[str, Any]) -> None:
        """Raises Unavailable."""
        _checked(self._ask("POST", "/jobs", json=job))

    def status(self, name: str) -> dict[str, Any] | None:
        """The Job's status, None where there is no such Job. Raises Unavailable."""
        answer = self._ask("GET", f"/jobs/{name}")
        return None if answer.status_code == 404 else _checked(answer).get("status", {})

    def delete(self, name: str) -> None:
        """Ask for the end of a Job and of its pods. Raises Unavailable."""
        answer = self._ask("DELETE", f"/jobs/{name}", params={"propagationPolicy": "Background"})
        if answer.status_code != 404:
            _checked(answer)

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        token = self._token_file.read_text().strip()  # read anew: Kubernetes changes it every hour
        try:
            return self._http.request(method, self._base + path, headers={"Authorization": f"Bearer {token}"}, **more)
        except httpx.TransportError as error:
            raise Unavailable(f"The Kubernetes API does not answer: {type(error).__name__}.") from error


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise Unavailable(f"The Kubernetes API answered {answer.status_code}: {_message(answer)}")
    found: dict[str, Any] = answer.json()
    return found


def _message(answer: httpx.Response) -> str:
    with suppress(ValueError, AttributeError):
        return str(answer.json().get("message"))[:500]
    return answer.text[:500]


@contextmanager
def pods(folder: Path, settings: Settings, cluster: Cluster | None = None) -> Iterator[Over]:
    """The training of a folder as a Job, which ends with the block unless it has ended by itself.

    Gives a function that waits a little and tells whether all went well to its end. It raises Unavailable when the pods
    failed (a node was lost, say): the training then goes on later from its kept state. Raises NoTemplate.
    """
    jobs = Jobs(cluster or Cluster.of_this_pod())
    try:
        job = job_of(jobs.template(settings.train_template), folder, settings)
        name = job["metadata"]["name"]
        running = _Running(jobs, name)
        try:
            jobs.create(job)
            log.info("training_pods_asked_for", job=name, nodes=job["spec"]["completions"])
            yield running
        finally:
            if not running.ended:
                with suppress(Unavailable):  # its pods end by themselves when nobody waits for them any more
                    jobs.delete(name)
    finally:
        jobs.close()


class _Running:
    """Looks at a Job every two seconds."""

    def __init__(self, jobs: Jobs, name: str) -> None:
        self._jobs, self._name = jobs, name
        self._heard = time.monotonic()
        self.ended = False

    def __call__(self) -> bool:
        time.sleep(POLL_S)
        try:
            status = self._jobs.status(self._name)
        except Unavailable:
            if time.monotonic() - self._heard > PATIENCE_S:
                raise
            return False
        self._heard = time.monotonic()
        if status is None:
            self.ended = True
            raise Unavailable("Somebody removed the training's Job.")
        true = {one["type"]: one for one in status.get("conditions") or () if one.get("status") == "True"}
        self.ended = bool(true.keys() & {"Complete", "Failed"})
        if failed := true.get("Failed"):
            raise Unavailable(f"The training's pods failed: {failed.get('reason')}: {failed.get('message')}")
        return self.ended


def job_of(template: dict[str, Any], folder: Path, settings: Settings) -> dict[str, Any]:
    """The Job to be. Raises NoTemplate for a template that is no Indexed Job with a subdomain."""
    metadata, spec = dict(template.get("metadata") or {}), dict(template["spec"])
    pod = spec["template"]["spec"]
    nodes, subdomain = spec.get("completions"), pod.get("subdomain")
    if spec.get("completionMode") != "Indexed" or not nodes or spec.get("parallelism") != nodes or not subdomain:
        raise NoTemplate(
            "The template of trainings must be an Indexed Job with as many completions as parallelism, and a subdomain."
        )
    name = f"{settings.train_template}-{secrets.token_hex(5)}"
    each = settings.train_processes or ("gpu" if settings.device.startswith("cuda") else 1)
    args = [
        *("--nnodes", str(nodes), "--nproc-per-node", str(each), "--node-rank", "$(JOB_COMPLETION_INDEX)"),
        *("--master-addr", f"{name}-0.{subdomain}", "--master-port", str(PORT)),
        *("-m", "linework_trainer.training.process", str(folder)),
    ]
    container, *others = pod["containers"]
    container = {**container, "command": ["python", "-m", "torch.distributed.run"], "args": args}
    spec["template"] = {**spec["template"], "spec": {**pod, "containers": [container, *others]}}
    metadata |= {"name": name, "annotations": {**metadata.get("annotations", {}), "linework/folder": folder.name}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
