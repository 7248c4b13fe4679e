"""As much of a Kubernetes cluster as a training sees: its API by HTTPS, and pods, which are processes here."""

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAMESPACE = "patents"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CRONJOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"


def template(nodes: int = 2, **spec: Any) -> dict[str, Any]:
    """The CronJob that says what a pod of a training is."""
    gpus = {"limits": {"nvidia.com/gpu": 8}}
    pod = {
        "subdomain": "linework-training",
        "restartPolicy": "Never",
        "containers": [{"name": "linework", "image": "linework-trainer:1", "resources": gpus}],
    }
    job = {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes, "backoffLimit": 0, **spec}
    labels = {"app.kubernetes.io/component": "training"}
    job["template"] = {"metadata": {"labels": labels}, "spec": pod}
    return {"kind": "CronJob", "spec": {"suspend": True, "jobTemplate": {"metadata": {"labels": labels}, "spec": job}}}


class FakeCluster:
    """Answers as the API would. With `runs`, the pods of a Job are started; else a Job stays as a test leaves it."""

    def __init__(self, folder: Path, *, runs: bool = False) -> None:
        self.folder, self.runs = folder, runs
        self.cronjobs: dict[str, dict[str, Any]] = {"linework-training": template()}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.conditions: list[dict[str, str]] = []  # of every Job whose pods do not run
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, token
        self.away = False
        self.pods: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._write_account()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _write_account(self) -> None:
        """What Kubernetes mounts into a pod: the token, the namespace, and who signed the API's certificate."""
        self.folder.mkdir()
        (self.folder / "namespace").write_text(NAMESPACE)
        (self.folder / "token").write_text("first")
        subject = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "ca.crt")]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)

    def close(self) -> None:
        for name in list(self.pods):
            self.stop(name)
        self._server.shutdown()
        self._server.server_close()

    def start(self, job: dict[str, Any]) -> None:
        """Processes for the pods. Their names are not to be looked up here, so node 0 is this machine."""
        container = job["spec"]["template"]["spec"]["containers"][0]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        given = [*container["command"], *container["args"]]
        first = f"{job['metadata']['name']}-0.{job['spec']['template']['spec']['subdomain']}"
        here = {"python": sys.executable, first: "127.0.0.1", "29500": port}
        self.pods[job["metadata"]["name"]] = [
            subprocess.Popen([here.get(word, word).replace("$(JOB_COMPLETION_INDEX)", str(node)) for word in given])
            for node in range(job["spec"]["completions"])
        ]

    def status(self, name: str) -> dict[str, Any]:
        ended = [pod.poll() for pod in self.pods.get(name, ())]
        if not self.runs:
            return {"conditions": self.conditions}
        if any(ended):
            reason = {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
            return {"conditions": [{"type": "Failed", "status": "True", **reason}]}
        return {"conditions": [{"type": "Complete", "status": "True"}]} if None not in ended else {"active": len(ended)}

    def stop(self, name: str) -> None:
        for pod in self.pods.pop(name, ()):
            pod.kill()
            pod.wait()


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> tuple[int, dict[str, Any]]:
            path = urlsplit(self.path).path
            name = path.rpartition("/")[2]
            cluster.asked.append((self.command, self.path, self.headers["Authorization"]))
            if cluster.away:
                return 503, {"message": "the server is currently unable to handle the request"}
            if self.command == "POST" and path == JOBS:
                job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert re.fullmatch(r"[a-z0-9-]{1,63}", job["metadata"]["name"])
                cluster.jobs[job["metadata"]["name"]] = job
                if cluster.runs:
                    cluster.start(job)
                return 201, job
            if path.startswith(CRONJOBS + "/") and self.command == "GET" and name in cluster.cronjobs:
                return 200, cluster.cronjobs[name]
            if path.startswith(JOBS + "/") and name in cluster.jobs:
                if self.command == "DELETE":
                    cluster.stop(name)
                    return 200, cluster.jobs.pop(name)
                return 200, {**cluster.jobs[name], "status": cluster.status(name)}
            return 404, {"message": f'"{name}" not found'}

        def _serve(self) -> None:
            status, body = self._answer()
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # as the library wants them called

        def log_message(self, *_: object) -> None:
            pass

    return Handler
