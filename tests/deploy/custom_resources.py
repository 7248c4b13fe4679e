"""The fields of custom resources that our manifests use, each with its type: whatever else stands there is a slip.

Their operators' own schemas are large and change; this list is what of them we rely on. How it was compared with
them is told in docs/kubernetes.md, What has been checked. A path that ends with `**` holds objects of Kubernetes' own,
or free maps.
"""

ANY = object

FIELDS: dict[tuple[str, str], dict[str, type]] = {
    ("postgresql.cnpg.io/v1", "Cluster"): {
        "instances": int, "imageName": str, "priorityClassName": str, "primaryUpdateStrategy": str,
        "enableSuperuserAccess": bool,
        "bootstrap.initdb.database": str, "bootstrap.initdb.owner": str, "bootstrap.initdb.dataChecksums": bool,
        "bootstrap.initdb.postInitApplicationSQL[]": str,
        "managed.roles[].name": str, "managed.roles[].ensure": str, "managed.roles[].login": bool,
        "managed.roles[].connectionLimit": int, "managed.roles[].inRoles[]": str,
        "managed.roles[].passwordSecret.name": str,
        "affinity.enablePodAntiAffinity": bool, "affinity.topologyKey": str, "affinity.podAntiAffinityType": str,
        "storage.size": str, "walStorage.size": str, "resources.**": ANY,
        "ephemeralVolumesSizeLimit.shm": str, "ephemeralVolumesSizeLimit.temporaryData": str,
        "postgresql.synchronous.method": str, "postgresql.synchronous.number": int,
        "postgresql.synchronous.dataDurability": str, "postgresql.parameters.**": str,
        "monitoring.enablePodMonitor": bool,
        "plugins[].name": str, "plugins[].isWALArchiver": bool, "plugins[].parameters.**": str,
    },
    ("postgresql.cnpg.io/v1", "ScheduledBackup"): {
        "schedule": str, "backupOwnerReference": str, "cluster.name": str, "method": str,
        "pluginConfiguration.name": str,
    },
    ("barmancloud.cnpg.io/v1", "ObjectStore"): {
        "retentionPolicy": str, "configuration.destinationPath": str,
        "configuration.s3Credentials.accessKeyId.name": str, "configuration.s3Credentials.accessKeyId.key": str,
        "configuration.s3Credentials.secretAccessKey.name": str,
        "configuration.s3Credentials.secretAccessKey.key": str,
        "configuration.wal.compression": str, "configuration.wal.maxParallel": int,
        "configuration.data.compression": str, "configuration.data.jobs": int,
        "instanceSidecarConfiguration.resources.**": ANY,
    },
    ("redis.redis.opstreelabs.in/v1beta2", "Redis"): {
        "kubernetesConfig.image": str, "kubernetesConfig.imagePullPolicy": str,
        "kubernetesConfig.redisSecret.name": str, "kubernetesConfig.redisSecret.key": str,
        "kubernetesConfig.resources.**": ANY,
        "redisConfig.additionalRedisConfig": str,
        "storage.volumeClaimTemplate.spec.**": ANY,
        "priorityClassName": str, "podSecurityContext.**": ANY, "securityContext.**": ANY,
    },
    ("keda.sh/v1alpha1", "TriggerAuthentication"): {
        "secretTargetRef[].parameter": str, "secretTargetRef[].name": str, "secretTargetRef[].key": str,
    },
    ("keda.sh/v1alpha1", "ScaledObject"): {
        "scaleTargetRef.name": str, "pollingInterval": int, "cooldownPeriod": int, "minReplicaCount": int,
        "maxReplicaCount": int,
        "fallback.failureThreshold": int, "fallback.replicas": int, "fallback.behavior": str,
        "advanced.horizontalPodAutoscalerConfig.name": str,
        "advanced.horizontalPodAutoscalerConfig.behavior.**": ANY,
        "triggers[].type": str, "triggers[].name": str, "triggers[].metadata.**": str,
        "triggers[].authenticationRef.name": str,
    },
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        "selector.**": ANY, "targetLabels[]": str, "endpoints[].port": str, "endpoints[].path": str,
        "endpoints[].interval": str, "endpoints[].scrapeTimeout": str,
    },
    ("monitoring.coreos.com/v1", "PodMonitor"): {
        "selector.**": ANY, "podMetricsEndpoints[].port": str, "podMetricsEndpoints[].interval": str,
    },
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        "groups[].name": str, "groups[].rules[].alert": str, "groups[].rules[].expr": str, "groups[].rules[].for": str,
        "groups[].rules[].labels.**": str, "groups[].rules[].annotations.**": str,
    },
    ("external-secrets.io/v1", "ExternalSecret"): {
        "refreshInterval": str, "secretStoreRef.kind": str, "secretStoreRef.name": str,
        "target.name": str, "target.creationPolicy": str, "target.template.type": str,
        "target.template.metadata.labels.**": str, "target.template.data.**": str,
        "data[].secretKey": str, "data[].remoteRef.key": str, "data[].remoteRef.property": str,
    },
}  # fmt: skip

# What a KEDA trigger's metadata may hold is free in its schema; these are the scalers' own documented parameters
TRIGGERS = {
    "redis": {"address", "listName", "listLength", "activationListLength"},
    "postgresql": {
        "host", "port", "dbName", "sslmode", "query", "targetQueryValue", "activationTargetQueryValue",
    },
    "prometheus": {"serverAddress", "query", "threshold", "activationThreshold"},
}  # fmt: skip


def faults(spec: object, fields: dict[str, type]) -> list[str]:
    """What of a spec is not in the list, or is of another type."""
    found = []
    for path, value in _leaves(spec, ""):
        free = next(
            (kind for field, kind in fields.items() if field.endswith("**") and path.startswith(field[:-2])), None
        )
        kind = fields.get(path, free)
        if kind is None:
            found.append(f"{path} is not known")
        elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found.append(f"{path} is {value!r}, not {kind.__name__}")
    return found


def _leaves(value: object, path: str) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in _leaves(one, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one, f"{path}[]")]
    return [(path, value)]
