"""The overlays as a cluster would get them, and what is in them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("dev", "production")
Manifest = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """All objects of an overlay. Skips the test where neither kubectl nor kustomize is installed."""
    folder = str(K8S / "overlays" / overlay)
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize", folder]
    elif kustomize := shutil.which("kustomize"):
        command = [kustomize, "build", folder]
    else:
        pytest.skip("kubectl or kustomize renders the overlays, and neither is installed")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def find(overlay: str, kind: str, name: str) -> Manifest:
    (found,) = [one for one in of_kind(overlay, kind) if one["metadata"]["name"] == name]
    return found


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    return [one for one in rendered(overlay) if one["kind"] in kinds]


@dataclass(frozen=True)
class Pod:
    """The pod of a workload."""

    owner: str
    kind: str
    labels: dict[str, str]
    spec: Manifest

    def containers(self) -> Iterator[Manifest]:
        yield from self.spec.get("initContainers", ())
        yield from self.spec["containers"]

    @property
    def main(self) -> Manifest:
        """The container that all our pods have."""
        (main,) = [one for one in self.spec["containers"] if one["name"] == "linework"]
        assert isinstance(main, dict)
        return main

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]


def pods(overlay: str) -> list[Pod]:
    """Every pod that the overlay makes itself (operators make others)."""
    found = []
    for one in of_kind(overlay, "Deployment", "Job", "CronJob", "StatefulSet", "DaemonSet", "Pod"):
        job = one["spec"]["jobTemplate"] if one["kind"] == "CronJob" else one
        template = job["spec"]["template"]
        found.append(Pod(name_of(one), one["kind"], template["metadata"]["labels"], template["spec"]))
    return found


def seconds(duration: str) -> float:
    """'30s', '10m', '6h' as seconds."""
    number, unit = re.fullmatch(r"(\d+)([smh])", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def size(quantity: str | int) -> float:
    """'500m', '2', '8Gi' as a number."""
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)(m|Mi|Gi|Ti)?", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * {None: 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}[unit]
