"""Plays the overlay `dev` with podman, as far as that goes: `python -m tests.deploy.play up FOLDER`, then `down`.

Podman's `kube play` knows pods, Deployments, ConfigMaps and volume claims. So plain containers stand in for what the
operators make (Postgres and Redis), a network's names for Services, podman's secrets and FOLDER for Secrets, and a pod
for the Job of the migrations. NetworkPolicies, priorities and disruption budgets mean nothing to it; probes it keeps,
but does not ask. Images must be there under the overlay's names. FOLDER holds the first administrator's key.
"""

import argparse
import base64
import copy
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from tests.deploy.manifests import ROOT, Manifest, find, of_kind

NETWORK = "linework-kube"
DATABASE, REDIS = "linework-db-rw", "linework-redis"
CLAIM = "linework-objects"
FILES = {  # of each Secret that is mounted
    "linework-admin-key": ("bootstrap-admin-key",),
    "linework-internal-token": ("internal-token",),
    "linework-model-keys": (),
}
SECRETS = ("linework-db-app", "linework-redis")
console = Console()


def podman(*arguments: str, given: str = "", check: bool = True) -> str:
    done = subprocess.run(["podman", *arguments], input=given, check=check, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def workloads() -> Iterator[Manifest]:
    """The migrations first, then all that the overlay runs."""
    job = find("dev", "Job", "linework-migrate")
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": job["metadata"], "spec": job["spec"]["template"]["spec"]}
    yield from of_kind("dev", "Deployment")


def played(workload: Manifest, redis_url: str, keys: Path) -> Manifest:
    """A workload in the words that podman 4.3 knows."""
    workload = copy.deepcopy(workload)
    pod = workload["spec"] if workload["kind"] == "Pod" else workload["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    pod["restartPolicy"] = "OnFailure"  # with Always, podman starts an init container again when it has succeeded
    for container in pod["containers"]:
        for variable in container["env"]:
            if variable["name"] == "REDIS_URL":  # podman leaves $(REDIS_PASSWORD) as it is
                variable["value"] = redis_url
    for volume in pod["volumes"]:
        if "secret" in volume:
            secret = volume.pop("secret")["secretName"]
            volume["hostPath"] = {"path": str(keys / secret), "type": "Directory"}
        volume.get("emptyDir", {}).pop("medium", None)
    # An emptyDir is a volume of its name, which pods would share
    for named in (*pod["volumes"], *(mount for one in containers for mount in one.get("volumeMounts", ()))):
        named["name"] = f"{workload['metadata']['name']}-{named['name']}"
    return workload


def up(folder: Path) -> None:
    """All of it, each pod by a call of its own, under the name of its Service."""
    password = secrets.token_hex(16)
    url, redis_url = f"postgresql://linework:{password}@{DATABASE}:5432/linework", f"redis://:{password}@{REDIS}:6379/0"
    keys = folder / "keys"
    for secret, files in FILES.items():
        (keys / secret).mkdir(parents=True)
        for name in files:
            (keys / secret / name).write_text(secrets.token_hex(32))
    podman("network", "create", NETWORK)
    for name, values in zip(SECRETS, ({"uri": url}, {"password": password}), strict=True):
        told = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        podman("secret", "create", name, "-", given=json.dumps(told))
    stand_ins(password)
    play(CLAIM, find("dev", "PersistentVolumeClaim", CLAIM))
    settings = [one for one in of_kind("dev", "ConfigMap") if one["metadata"]["name"].startswith("linework-settings")]
    for workload in workloads():
        name = workload["metadata"]["name"]
        play(name, *settings, played(workload, redis_url, keys))
        console.print(f"{name} plays")


def play(name: str, *manifests: Manifest) -> None:
    podman("kube", "play", "--network", f"{NETWORK}:alias={name}", "-", given=yaml.dump_all(manifests))


def stand_ins(password: str) -> None:
    """The Postgres and the Redis of docker-compose.yml, under the names that the operators would give them."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    started = ("run", "--detach", "--network", NETWORK, "--name")
    given = ("--stop-signal=SIGINT", "--env=POSTGRES_USER=linework", f"--env=POSTGRES_PASSWORD={password}")
    podman(*started, DATABASE, *given, services["postgres"]["image"])
    podman(*started, REDIS, services["redis"]["image"], "--requirepass", password)


def down() -> None:
    """Everything that `up` made, and its data."""
    for pod in ours("pod", "ps"):
        podman("pod", "rm", "--force", pod, check=False)
    podman("rm", "--force", "--volumes", "--ignore", DATABASE, REDIS, check=False)
    for volume in ours("volume", "ls"):
        podman("volume", "rm", "--force", volume, check=False)
    podman("secret", "rm", *SECRETS, check=False)
    podman("network", "rm", NETWORK, check=False)


def ours(*listing: str) -> list[str]:
    return [name for name in podman(*listing, "--format={{.Name}}").splitlines() if name.startswith("linework-")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.play", description=__doc__)
    parts = parser.add_subparsers(dest="what", required=True)
    parts.add_parser("up").add_argument("folder", type=Path)
    parts.add_parser("down")
    asked = parser.parse_args()
    if asked.what == "up":
        up(asked.folder.resolve())
    else:
        down()


if __name__ == "__main__":
    main()
