"""Every setting of the code is in a ConfigMap or a Secret of the cluster, and the other way round."""

import re

import pytest

from linework_core.settings import Settings
from tests.deploy.manifests import K8S, OVERLAYS, of_kind, pods

SETTINGS = {name.upper() for name in Settings.model_fields}
BY_FILE = {name.removesuffix("_FILE") for name in SETTINGS if name.endswith("_FILE")} - {"ALIVE"}  # secrets are files
OF_LIBRARIES = {"AWS_REGION", "AWS_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
HELP = "add it to deploy/k8s/base/settings.env (with a '#' before it, and an example, if it is off by default)"


def config(overlay: str) -> dict[str, str]:
    (found,) = [one for one in of_kind(overlay, "ConfigMap") if one["metadata"]["name"].startswith("linework-settings")]
    data: dict[str, str] = found["data"]
    return data


def by_reference(overlay: str) -> set[str]:
    """Variables of the containers themselves."""
    return {variable["name"] for pod in pods(overlay) for variable in pod.main.get("env", ())}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_of_the_code_has_its_place(overlay: str) -> None:
    off = set(re.findall(r"^#([A-Z_]+)=", (K8S / "base" / "settings.env").read_text(), re.MULTILINE))
    assert SETTINGS - set(config(overlay)) - by_reference(overlay) - off - BY_FILE == set(), HELP


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_of_the_cluster_is_read_by_the_code(overlay: str) -> None:
    assert set(config(overlay)) - SETTINGS - OF_LIBRARIES == set()
    aids = {"HOME", "OMP_NUM_THREADS", "REDIS_PASSWORD"}
    assert by_reference(overlay) - SETTINGS - OF_LIBRARIES - aids == set()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_code_takes_the_values(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    examples = re.findall(r"^#([A-Z_]+)=(.+)$", (K8S / "base" / "settings.env").read_text(), re.MULTILINE)
    for name, value in [*examples, *config(overlay).items()]:
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.auth == "on"
    assert not settings.on_loopback
    assert settings.train_launcher == ("kubernetes" if overlay == "production" else "local")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_written_goes_to_volumes_of_a_size(overlay: str) -> None:
    for pod in pods(overlay):
        mounts = {mount["name"]: mount["mountPath"] for mount in pod.main["volumeMounts"]}
        assert mounts["tmp"] == "/tmp"
        assert pod.kind == "CronJob" or mounts["cache"] == "/var/cache/linework"
        for volume in pod.spec["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], (pod.owner, volume)
