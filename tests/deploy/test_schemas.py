"""Is each object what its API takes? Kubernetes' own by published schemas, custom ones by the fields that we use."""

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.custom_resources import FIELDS, TRIGGERS, faults
from tests.deploy.manifests import K8S, OVERLAYS, ROOT, find, name_of, of_kind, rendered

VERSIONS = ("1.33", "1.37")  # the oldest that the manifests are for, and the newest that the schemas are of


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(overlay: str, version: str) -> None:
    own = [one for one in rendered(overlay) if (one["apiVersion"], one["kind"]) not in FIELDS]
    assert len(own) > 20
    for manifest in own:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_have_the_fields_that_their_operators_know(overlay: str) -> None:
    found = {
        f"{name_of(one)}: {fault}"
        for one in rendered(overlay)
        if (fields := FIELDS.get((one["apiVersion"], one["kind"]))) is not None
        for fault in faults(one["spec"], fields)
    }
    assert found == set()


def test_a_field_that_no_operator_knows_is_found() -> None:
    fields = FIELDS["keda.sh/v1alpha1", "ScaledObject"]
    assert faults({"minReplicas": 0, "maxReplicaCount": "3"}, fields) == [
        "minReplicas is not known", "maxReplicaCount is '3', not int",
    ]  # fmt: skip


def test_all_that_embeds_kubernetes_own_types_is_of_their_form() -> None:
    """Where an operator passes a pod's parts on, they are checked in a pod."""
    redis = find("production", "Redis", "linework-redis")["spec"]
    container = {"name": "redis", "image": redis["kubernetesConfig"]["image"]}
    container |= {"resources": redis["kubernetesConfig"]["resources"], "securityContext": redis["securityContext"]}
    pod = {"containers": [container], "securityContext": redis["podSecurityContext"]}
    kubernetes_validate.validate(_object("v1", "Pod", pod), VERSIONS[0], strict=True)
    claim = redis["storage"]["volumeClaimTemplate"]["spec"]
    kubernetes_validate.validate(_object("v1", "PersistentVolumeClaim", claim), VERSIONS[0], strict=True)
    for scaled in of_kind("production", "ScaledObject"):
        behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
        spec = {"maxReplicas": 1, "scaleTargetRef": target, "behavior": behavior}
        scaler = _object("autoscaling/v2", "HorizontalPodAutoscaler", spec)
        kubernetes_validate.validate(scaler, VERSIONS[0], strict=True)


def _object(version: str, kind: str, spec: object) -> dict[str, object]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}


def test_every_trigger_has_the_parameters_of_its_scaler() -> None:
    for scaled in of_kind("production", "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            assert set(trigger["metadata"]) <= TRIGGERS[trigger["type"]], name_of(scaled)


def test_alerts_and_scalers_ask_for_metrics_that_the_code_has() -> None:
    source = "".join(file.read_text() for area in ("libs", "services") for file in (ROOT / area).rglob("src/**/*.py"))
    known = set(re.findall(r'"(linework_[a-z_]+)"', source))
    queries = [rule["expr"] for rule in _rules()]
    queries += [
        trigger["metadata"]["query"]
        for scaled in of_kind("production", "ScaledObject")
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]
    asked = {name for query in queries for name in re.findall(r"\blinework_[a-z_]+", query)}
    assert len(asked) >= 6
    missing = {name for name in asked if not {name, re.sub(r"_(total|bucket)$", "", name)} & known}
    assert missing == set()


def _rules() -> list[dict[str, str]]:
    (group,) = find("production", "PrometheusRule", "linework")["spec"]["groups"]
    rules: list[dict[str, str]] = group["rules"]
    return rules


def test_every_alert_is_explained() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for rule in _rules():
        assert f"| `{rule['alert']}` |" in page


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """By Prometheus' own tool, on series that are written out in alerts.yaml beside this file."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of Prometheus, evaluates the alerts, and is not installed")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(find("production", "PrometheusRule", "linework")["spec"]))
    (tmp_path / "tests.yaml").write_text((Path(__file__).parent / "alerts.yaml").read_text())
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_folder_is_part_of_an_overlay() -> None:
    overlays = [file.read_text() for file in K8S.glob("overlays/*/kustomization.yaml")]
    for component in (K8S / "components").iterdir():
        assert any(f"- ../../components/{component.name}\n" in text for text in overlays)
