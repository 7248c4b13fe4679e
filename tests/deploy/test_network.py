"""Who may talk to whom: inside the namespace by name, outside it by the addresses of one file."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network

import pytest
import yaml

from tests.deploy.manifests import K8S, OVERLAYS, Manifest, Pod, find, name_of, of_kind, pods

DOCUMENTATION = [ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
PRIVATE = [ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
POSTGRES = Pod("Cluster/linework-db", "Pod", {"cnpg.io/cluster": "linework-db"}, {})
POSTGRES_PORT, REDIS_PORT, EMBEDDER_PORT, DNS_PORT = 5432, 6379, 8001, 53


def selects(policy: Manifest, pod: Pod) -> bool:
    selector = policy["spec"]["podSelector"]
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        if pod.labels.get(expression["key"]) not in expression["values"]:
            return False
    labels: dict[str, str] = selector.get("matchLabels", {})
    return labels.items() <= pod.labels.items()


def egress(overlay: str, pod: Pod) -> Iterator[tuple[Manifest, set[int | None]]]:
    """Each peer that a pod may talk to, with the ports."""
    for policy in of_kind(overlay, "NetworkPolicy"):
        if selects(policy, pod):
            for rule in policy["spec"].get("egress", ()):
                ports = {port["port"] for port in rule.get("ports", ({"port": None},))}
                yield from ((peer, ports) for peer in rule["to"])


def ways_out(overlay: str, pod: Pod) -> list[IPv4Network]:
    networks = [ip_network(peer["ipBlock"]["cidr"]) for peer, _ in egress(overlay, pod) if "ipBlock" in peer]
    assert all(isinstance(network, IPv4Network) for network in networks)
    return networks  # type: ignore[return-value]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_reaches_the_internet_until_its_address_is_named(overlay: str) -> None:
    """The embedder and the trainer load what strangers name: above all they."""
    for pod in [*pods(overlay), POSTGRES]:
        for network in ways_out(overlay, pod):
            assert any(network.subnet_of(block) for block in (*DOCUMENTATION, *PRIVATE)), (pod.owner, network)


def test_on_one_node_ours_reach_nothing_outside_the_namespace() -> None:
    assert {pod.owner: ways_out("dev", pod) for pod in pods("dev")} == {pod.owner: [] for pod in pods("dev")}


def test_only_who_uses_it_may_reach_the_object_store_and_the_api_of_kubernetes() -> None:
    with_way_out = {pod.component for pod in pods("production") if ways_out("production", pod)}
    assert with_way_out == {"api", "ingest", "beat", "embedder", "embed", "enrich", "trainer", "training"}
    to_kubernetes = {
        pod.component
        for pod in pods("production")
        if any(6443 in ports for peer, ports in egress("production", pod) if "ipBlock" in peer)
    }
    assert to_kubernetes == {"trainer"}


def test_the_base_leads_nowhere() -> None:
    policies = yaml.safe_load_all((K8S / "base" / "network.yaml").read_text())
    assert not [name_of(policy) for policy in policies if "ipBlock" in str(policy)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_process_reaches_the_neighbours_that_it_calls(overlay: str) -> None:
    inside = {
        pod.component: {port for peer, ports in egress(overlay, pod) if "ipBlock" not in peer for port in ports}
        for pod in pods(overlay)
    }
    data = {DNS_PORT, POSTGRES_PORT, REDIS_PORT}
    expected: dict[str, set[int | None]] = {
        "migrate": {DNS_PORT, POSTGRES_PORT},
        "api": data | {EMBEDDER_PORT}, "ingest": data | {EMBEDDER_PORT},
        "embedder": {DNS_PORT, POSTGRES_PORT},
        "beat": data, "embed": data, "enrich": data, "trainer": data, "schedule": data,
    }  # fmt: skip
    if overlay == "production":
        expected["training"] = {DNS_PORT, None}  # each other, by ports that NCCL chooses
    assert inside == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_postgres_and_redis_let_in_whom_they_serve(overlay: str) -> None:
    for name, port in (("postgres", POSTGRES_PORT), ("redis", REDIS_PORT)):
        rules = [
            rule
            for rule in find(overlay, "NetworkPolicy", name)["spec"]["ingress"]
            if any(each["port"] == port for each in rule["ports"])
        ]
        peers = [peer for rule in rules for peer in rule["from"] if "podSelector" in peer]
        for pod in pods(overlay):
            may_send = port in {each for peer, ports in egress(overlay, pod) if "ipBlock" not in peer for each in ports}
            let_in = any(peer["podSelector"]["matchLabels"].items() <= pod.labels.items() for peer in peers)
            assert may_send == let_in, (name, pod.owner)


@pytest.mark.parametrize("component", ["model-hubs", "public-object-store"])
def test_a_component_opens_the_internet_for_those_who_need_it_and_no_private_network(component: str) -> None:
    (policy,) = yaml.safe_load_all((K8S / "components" / component / "network.yaml").read_text())
    (rule,) = policy["spec"]["egress"]
    (peer,) = rule["to"]
    closed = [ip_network(block) for block in peer["ipBlock"]["except"]]
    assert {*PRIVATE, ip_network("169.254.0.0/16")} <= set(closed)
    assert [port["port"] for port in rule["ports"]] == [443]
    opened = {pod.component for pod in pods("production") if selects(policy, pod)}
    models = {"embedder", "embed", "trainer"}
    objects = {*models, "api", "ingest", "beat", "enrich", "training"}
    assert opened == (models if component == "model-hubs" else objects)
    for overlay in OVERLAYS:
        lines = (K8S / "overlays" / overlay / "kustomization.yaml").read_text()
        assert not re.search(rf"^\s*- .*components/{component}$", lines, re.MULTILINE)
