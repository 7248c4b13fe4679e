"""Who gets which secret: each pod those that its process reads, and no others."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.deploy.manifests import OVERLAYS, Pod, find, of_kind, pods

DATABASE = {("linework-db-app", "uri")}
REDIS = {("linework-redis", "password")}
OBJECTS = {("linework-objects", "AWS_ACCESS_KEY_ID"), ("linework-objects", "AWS_SECRET_ACCESS_KEY")}
TOKEN = {("linework-internal-token", "internal-token")}
ADMIN = {("linework-admin-key", "bootstrap-admin-key")}
MODELS = {("linework-model-keys", "llm"), ("linework-model-keys", "captioner")}

ALLOWED = {
    "Job/linework-migrate": DATABASE | ADMIN,
    "Deployment/linework-api": DATABASE | REDIS | OBJECTS | TOKEN,
    "Deployment/linework-ingest": DATABASE | REDIS | OBJECTS | TOKEN,
    "Deployment/linework-beat": DATABASE | REDIS | OBJECTS,
    "Deployment/linework-embedder": DATABASE | OBJECTS | TOKEN,
    "Deployment/linework-embed": DATABASE | REDIS | OBJECTS,
    "Deployment/linework-enrich": DATABASE | REDIS | OBJECTS | MODELS,
    "Deployment/linework-trainer": DATABASE | REDIS | OBJECTS,
    "CronJob/linework-weekly-ingest": DATABASE | REDIS,
    "CronJob/linework-reconcile": DATABASE | REDIS,
    "CronJob/linework-training": OBJECTS,
}


def secrets_of(pod: Pod) -> set[tuple[str, str]]:
    """(Secret, key) of every variable and every mounted file of a pod's containers."""
    return {each for container in pod.containers() for each in secrets_of_container(pod, container)}


def secrets_of_container(pod: Pod, container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    assert not [source for source in container.get("envFrom", ()) if "secretRef" in source], "a whole Secret"
    for variable in container.get("env", ()):
        if "secretKeyRef" in variable.get("valueFrom", {}):
            reference = variable["valueFrom"]["secretKeyRef"]
            yield reference["name"], reference["key"]
    volumes = {volume["name"]: volume["secret"] for volume in pod.spec["volumes"] if "secret" in volume}
    for mount in container.get("volumeMounts", ()):
        if mount["name"] in volumes:
            assert mount["readOnly"] is True
            secret = volumes[mount["name"]]
            keys = [item["key"] for item in secret["items"]] if "items" in secret else keys_of(secret["secretName"])
            yield from ((secret["secretName"], key) for key in keys)


def keys_of(secret: str) -> list[str]:
    """All keys of a Secret, as External Secrets makes it."""
    return [entry["secretKey"] for entry in find("production", "ExternalSecret", secret)["spec"]["data"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_gets_the_secrets_that_it_uses_and_no_others(overlay: str) -> None:
    assert {pod.owner: secrets_of(pod) for pod in pods(overlay)} == {
        owner: allowed
        for owner, allowed in ALLOWED.items()
        if overlay == "production" or owner != "CronJob/linework-training"
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_waiting_for_the_schema_needs_the_database_alone(overlay: str) -> None:
    for pod in pods(overlay):
        for container in pod.spec.get("initContainers", ()):
            assert set(secrets_of_container(pod, container)) == DATABASE, pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_setting_that_names_a_secrets_file_stands_where_the_file_is_mounted(overlay: str) -> None:
    for pod in pods(overlay):
        files = {
            PurePosixPath(variable["value"])
            for variable in pod.main.get("env", ())
            if variable["name"].endswith("_FILE") and "value" in variable
        }
        mounted = {
            PurePosixPath("/run/secrets/linework") / key
            for volume in pod.spec["volumes"]
            if "secret" in volume
            for key in keys_of(volume["secret"]["secretName"])
        }
        assert files == mounted, pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_that_all_share_name_no_secret(overlay: str) -> None:
    for config in of_kind(overlay, "ConfigMap"):
        assert not [name for name in config["data"] if name.endswith("_FILE") and name != "ALIVE_FILE"]
