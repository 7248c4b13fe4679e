"""What every pod, and every overlay, must be like."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from tests.deploy.manifests import OVERLAYS, Pod, find, name_of, of_kind, pods, rendered, size

ALL_PODS = [(overlay, kind) for overlay in OVERLAYS for kind in ("Deployment", "Job", "CronJob")]
SECRET_WORDS = re.compile(r"password|secret|token|key", re.IGNORECASE)


def of(overlay: str, kind: str) -> list[Pod]:
    found = [pod for pod in pods(overlay) if pod.kind == kind]
    assert found
    return found


@pytest.mark.parametrize(("overlay", "kind"), ALL_PODS)
def test_every_pod_is_what_restricted_pod_security_admits(overlay: str, kind: str) -> None:
    for pod in of(overlay, kind):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
        for container in pod.containers():
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            assert not set(own) & {"privileged", "runAsUser", "procMount"}
        for volume in pod.spec["volumes"]:
            assert set(volume) - {"name"} <= {"emptyDir", "secret", "persistentVolumeClaim", "configMap"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_namespace_admits_nothing_else(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {one["metadata"].get("namespace") for one in rendered(overlay)} == {None, "linework"}
    cluster_wide = {one["kind"] for one in rendered(overlay) if "namespace" not in one["metadata"]}
    assert cluster_wide == {"Namespace", "PriorityClass"}


@pytest.mark.parametrize(("overlay", "kind"), ALL_PODS)
def test_every_container_has_requests_and_limits(overlay: str, kind: str) -> None:
    for pod in of(overlay, kind):
        for container in pod.containers():
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            for what in ("cpu", "memory", "ephemeral-storage"):
                assert 0 < size(requests[what]) <= size(limits[what]), (pod.owner, container["name"])
            assert requests.get("nvidia.com/gpu") == limits.get("nvidia.com/gpu")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_that_stays_is_probed(overlay: str) -> None:
    for pod in of(overlay, "Deployment"):
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(pod.main), pod.owner
        assert pod.spec["terminationGracePeriodSeconds"] >= 30
        startup = pod.main["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 120  # imports, on a cold disk


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_server_ends_after_its_requests_and_before_it_is_killed(overlay: str) -> None:
    for pod in of(overlay, "Deployment"):
        if pod.component in ("api", "embedder"):
            options = dict(pairwise(pod.main["args"]))
            wait = pod.main["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert wait + int(options["--timeout-graceful-shutdown"]) < pod.spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_part_that_is_away_stops_a_rollout_but_kills_nobody(overlay: str) -> None:
    probes = {pod.component: pod.main for pod in of(overlay, "Deployment")}
    paths = {
        (component, probe): probes[component][f"{probe}Probe"]["httpGet"]["path"]
        for component in ("api", "embedder")
        for probe in ("startup", "readiness", "liveness")
    }
    assert {one for one, path in paths.items() if path == "/health/ready"} == {
        ("api", "startup"),  # all parts have answered once
        ("embedder", "readiness"),  # its model is loaded
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_named_by_a_version(overlay: str) -> None:
    images = {container["image"] for pod in pods(overlay) for container in pod.containers()}
    images |= {find(overlay, "Cluster", "linework-db")["spec"]["imageName"]}
    images |= {find(overlay, "Redis", "linework-redis")["spec"]["kubernetesConfig"]["image"]}
    for image in images:
        _, colon, tag = image.rpartition(":")
        assert colon, image
        assert re.match(r"v?\d+\.\d+", tag), image
    ours = {image.rpartition("/")[2].partition(":")[0] for image in images}
    assert {f"linework-{name}" for name in ("api", "embedder", "enricher", "trainer")} <= ours


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_databases_are_left_to_operators(overlay: str) -> None:
    assert of_kind(overlay, "StatefulSet") == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_value_is_in_the_repository(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []
    for pod in pods(overlay):
        for container in pod.containers():
            for variable in container.get("env", ()):
                if SECRET_WORDS.search(variable["name"]):
                    by_file = variable["name"].endswith("_FILE") and variable.get("value", "").startswith(
                        "/run/secrets/"
                    )
                    assert by_file or "secretKeyRef" in variable["valueFrom"], variable
    for config in of_kind(overlay, "ConfigMap"):
        for name, value in config["data"].items():
            assert not SECRET_WORDS.search(name) or name.endswith("_FILE"), name
            assert not re.search(r"://[^/\s]*:[^/\s]*@", value), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_secret_that_is_used_is_made_by_somebody(overlay: str) -> None:
    """By CloudNativePG, by External Secrets, or by hand, as docs/kubernetes.md lists them."""
    secrets = (
        r"'(?:secretName|name)': '(linework-(?:db-app|db-scaler|redis|objects|backups|[a-z-]+-(?:key|keys|token)))'"
    )
    used = set(re.findall(secrets, str(rendered(overlay))))
    made = {one["spec"]["target"]["name"] for one in of_kind(overlay, "ExternalSecret")} | {"linework-db-app"}
    assert {"linework-db-app", "linework-redis", "linework-admin-key", "linework-internal-token"} <= used
    assert overlay == "dev" or used == made


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_may_talk_who_is_not_named(overlay: str) -> None:
    deny = find(overlay, "NetworkPolicy", "deny-by-default")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(overlay, "NetworkPolicy"):
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            assert rule.get("from") or rule.get("to"), name_of(policy)
    (embedder,) = find(overlay, "NetworkPolicy", "embedder")["spec"]["ingress"]
    callers = [one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in embedder["from"]]
    assert callers == ["api", "ingest"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_policy_and_service_selects_pods_that_there_are(overlay: str) -> None:
    labels = [pod.labels for pod in pods(overlay)]
    labels += [{"cnpg.io/cluster": "linework-db"}, {"app": "linework-redis"}]  # made by operators
    for one in of_kind(overlay, "NetworkPolicy", "PodDisruptionBudget", "Service"):
        spec = one["spec"]
        selector = spec.get("podSelector", spec.get("selector", {}))
        wanted = selector.get("matchLabels", selector if one["kind"] == "Service" else {})
        assert any(wanted.items() <= found.items() for found in labels), name_of(one)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_a_trainer_that_makes_jobs_has_a_token(overlay: str) -> None:
    with_token = {pod.component for pod in pods(overlay) if pod.spec["automountServiceAccountToken"]}
    assert with_token == ({"trainer"} if overlay == "production" else set())
    assert of_kind(overlay, "ClusterRole", "ClusterRoleBinding") == []
    batch = {"apiGroups": ["batch"]}
    for role in of_kind(overlay, "Role"):
        assert role["rules"] == [
            {**batch, "resources": ["cronjobs"], "resourceNames": ["linework-training"], "verbs": ["get"]},
            {**batch, "resources": ["jobs"], "verbs": ["create", "get", "delete"]},
        ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_migrations_come_before_everything_else(overlay: str) -> None:
    (migrate,) = of(overlay, "Job")
    (schema,) = migrate.spec["initContainers"]
    assert schema["command"] == ["python", "-m", "linework_core.db", "upgrade", "head"]
    for pod in of(overlay, "Deployment"):
        (waiting,) = pod.spec["initContainers"]
        assert waiting["command"] == ["python", "-m", "linework_core.migrated"], pod.owner


def test_on_one_node_whoever_reads_objects_has_their_volume() -> None:
    (settings,) = [one for one in of_kind("dev", "ConfigMap") if "OBJECT_STORE_URL" in one["data"]]
    folder = settings["data"]["OBJECT_STORE_URL"].removeprefix("file://")
    for pod in of("dev", "Deployment"):
        mounted = {mount["mountPath"]: mount["name"] for mount in pod.main["volumeMounts"]}
        claims = {volume["name"] for volume in pod.spec["volumes"] if "persistentVolumeClaim" in volume}
        assert (mounted.get(folder) in claims) == ("linework/object-store" in pod.labels), pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_password_is_known_before_the_url_that_holds_it(overlay: str) -> None:
    for pod in pods(overlay):
        names = [variable["name"] for variable in pod.main["env"]]
        if "REDIS_URL" in names:
            assert names.index("REDIS_PASSWORD") < names.index("REDIS_URL"), pod.owner
        assert not [name for name, count in Counter(names).items() if count > 1]


def test_models_run_on_gpus_and_nothing_else_does() -> None:
    pools = {pod.owner: pod.spec.get("nodeSelector", {}).get("linework/pool") for pod in pods("production")}
    on_gpus = {owner: pool for owner, pool in pools.items() if pool}
    assert on_gpus == {
        "Deployment/linework-embedder": "gpu-inference",
        "Deployment/linework-embed": "gpu-inference",
        "Deployment/linework-trainer": "gpu-inference",
        "CronJob/linework-training": "gpu-training",
    }
    for pod in pods("production"):
        gpus = pod.main["resources"]["limits"].get("nvidia.com/gpu", 0)
        assert bool(gpus) == (pod.owner in on_gpus)
        if gpus:
            tolerated = {toleration["key"] for toleration in pod.spec["tolerations"]}
            assert tolerated == {"linework/pool", "nvidia.com/gpu"}
            assert pod.main["image"].endswith("-cuda")
    assert not [pod.owner for pod in pods("dev") if "nodeSelector" in pod.spec or "tolerations" in pod.spec]


def test_workers_are_scaled_from_nothing_by_what_waits_and_by_what_is_undone() -> None:
    for component in ("embed", "trainer"):
        scaled = find("production", "ScaledObject", f"linework-{component}")["spec"]
        assert scaled["minReplicaCount"] == 0
        assert scaled["scaleTargetRef"] == {"name": f"linework-{component}"}
        (pod,) = [one for one in of("production", "Deployment") if one.component == component]
        command = pod.main["command"]
        queues = set(command[command.index("-Q") + 1].split(","))
        lists = {one["metadata"]["listName"] for one in scaled["triggers"] if one["type"] == "redis"}
        (query,) = [one["metadata"]["query"] for one in scaled["triggers"] if one["type"] == "postgresql"]
        assert lists == queues
        assert set(re.findall(r"'(\w+)'", query)) == queues | {"queued", "running"}


def test_whoever_is_scaled_has_no_number_of_its_own() -> None:
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in of_kind("production", "ScaledObject", "HorizontalPodAutoscaler")
    }
    for deployment in of_kind("production", "Deployment"):
        assert ("replicas" in deployment["spec"]) == (deployment["metadata"]["name"] not in scaled)


def test_what_serves_is_spread_and_is_not_drained_all_at_once() -> None:
    for component in ("api", "embedder"):
        (pod,) = [one for one in of("production", "Deployment") if one.component == component]
        keys = [one["topologyKey"] for one in pod.spec["topologySpreadConstraints"]]
        assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        budget = find("production", "PodDisruptionBudget", f"linework-{component}")["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"].items() <= pod.labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whoever_waits_for_an_answer_goes_first(overlay: str) -> None:
    values = {one["metadata"]["name"]: one["value"] for one in of_kind(overlay, "PriorityClass")}
    assert values["linework-serving"] > values["linework-work"] > values["linework-training"]
    assert {pod.spec["priorityClassName"] for pod in pods(overlay)} <= set(values)


def test_a_database_of_three_is_backed_up() -> None:
    cluster = find("production", "Cluster", "linework-db")["spec"]
    assert cluster["instances"] == 3
    (plugin,) = cluster["plugins"]
    store = find("production", "ObjectStore", plugin["parameters"]["barmanObjectName"])["spec"]
    assert store["configuration"]["destinationPath"].startswith("s3://")
    backup = find("production", "ScheduledBackup", "linework-db-nightly")["spec"]
    assert (backup["method"], backup["cluster"]) == ("plugin", {"name": "linework-db"})
    assert "CREATE EXTENSION IF NOT EXISTS vector" in cluster["bootstrap"]["initdb"]["postInitApplicationSQL"]
