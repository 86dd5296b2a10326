"""values.schema.json: what the chart's values may be, the configuration's schema inside."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}
NAME: Schema = {"type": "string", "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}


def closed(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def whole(low: int, high: int | None = None) -> Schema:
    return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})


RESOURCES: Schema = {
    "type": "object",
    "properties": {
        "requests": {"type": "object"},
        "limits": {"type": "object", "required": ["memory"]},
        "claims": {"type": "array"},
    },
    "required": ["requests", "limits"],
    "additionalProperties": False,
}
SECRET_KEY: Schema = {"type": "string", "pattern": r"^[-._a-zA-Z0-9]+$"}


def role(**more: Schema) -> Schema:
    return closed(
        enabled=FLAG,
        replicas=whole(0),
        resources={"$ref": "#/definitions/chartResources"},
        podAnnotations=LABELS,
        podLabels=LABELS,
        nodeSelector=LABELS,
        affinity=ANY_OBJECT,
        tolerations=OBJECTS,
        topologySpreadConstraints=OBJECTS,
        priorityClassName=TEXT,
        terminationGracePeriodSeconds=whole(0),
        extraEnv=OBJECTS,
        extraEnvFrom=OBJECTS,
        extraVolumes=OBJECTS,
        extraVolumeMounts={
            "type": "array",
            "items": {"type": "object", "required": ["name", "mountPath"]},
        },
        extraContainers=OBJECTS,
        **more,
    )


def autoscaling(**more: Schema) -> Schema:
    return closed(
        type={"type": "string", "enum": ["none", "hpa", "keda"]},
        minReplicas=whole(1),
        maxReplicas=whole(1),
        targetCPUUtilizationPercentage=whole(1, 100),
        scaleDownStabilizationSeconds=whole(0, 3600),
        **more,
    )


def roles() -> dict[str, Schema]:
    return {
        "ingest": role(
            autoscaling=autoscaling(),
            service=closed(
                type={"type": "string", "enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                port=whole(1, 65535),
                annotations=LABELS,
            ),
        ),
        "relay": role(
            workload={"type": "string", "enum": ["Deployment", "StatefulSet"]},
            autoscaling=autoscaling(
                partitions=whole(0, 10000),
                lagThreshold=whole(1),
                activationLagThreshold=whole(0),
                maxAgeSeconds=whole(1),
                prometheusAddress={"type": "string", "minLength": 1},
                authenticationRef=NAME,
            ),
        ),
        # One replica: a second writer would be fenced.
        "control": role() | {"properties": role()["properties"] | {"replicas": whole(1, 1)}},
    }


def monitoring() -> dict[str, Schema]:
    return {
        "networkPolicy": closed(
            enabled=FLAG,
            ingressFrom=OBJECTS,
            adminFrom=OBJECTS,
            kafkaTo=OBJECTS,
            kafkaPorts={"type": "array", "items": whole(1, 65535), "minItems": 1},
            callbackPorts={"type": "array", "items": whole(1, 65535), "minItems": 1},
            except_={"type": "array", "items": TEXT},
            exceptIPv6={"type": "array", "items": TEXT},
            extraEgress=OBJECTS,
        ),
        "serviceMonitor": closed(
            enabled=FLAG,
            labels=LABELS,
            interval=TEXT,
            scrapeTimeout=TEXT,
            relabelings=OBJECTS,
            metricRelabelings=OBJECTS,
        ),
        "prometheusRule": closed(
            enabled=FLAG,
            labels=LABELS,
            runbooks=TEXT,
            sourceSilentSeconds={"type": "object", "additionalProperties": whole(1)},
        ),
        "dashboards": closed(enabled=FLAG, labels=LABELS, annotations=LABELS),
        "ingress": closed(
            enabled=FLAG,
            className=TEXT,
            annotations=LABELS,
            hosts={
                "type": "array",
                "items": closed(host={"type": "string", "minLength": 1}) | {"required": ["host"]},
            },
            tls=OBJECTS,
        ),
        "httpRoute": closed(
            enabled=FLAG,
            parentRefs=OBJECTS,
            hostnames={"type": "array", "items": TEXT},
            annotations=LABELS,
        ),
    }


def values_schema(config: Schema) -> str:
    config = dict(config)
    config.pop("$schema", None)
    config.pop("$id", None)
    definitions = config.pop("definitions", {})
    if "$defs" in config:
        raise SystemExit("generate: draft 7 has definitions, not $defs")
    properties: dict[str, Schema] = {
        "nameOverride": NAME,
        "fullnameOverride": NAME,
        "commonLabels": LABELS,
        "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
        "image": closed(
            registry=TEXT,
            repository={"type": "string", "minLength": 1},
            tag=TEXT,
            digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
            pullPolicy={"type": "string", "enum": ["Always", "IfNotPresent", "Never"]},
            pullSecrets={"type": "array", "items": TEXT},
        ),
        "config": config,
        "existingConfigMap": NAME,
        "reload": {"type": "string", "enum": ["rollout", "watch"]},
        "secretFiles": {
            "type": "object",
            "propertyNames": SECRET_KEY,
            "additionalProperties": closed(
                secret={"type": "string", "minLength": 1}, key=SECRET_KEY
            )
            | {"required": ["secret", "key"]},
        },
        "admin": closed(existingSecret=NAME, key=SECRET_KEY),
        "serviceAccount": closed(create=FLAG, name=NAME, annotations=LABELS),
        **roles(),
        **monitoring(),
        "test": closed(
            enabled=FLAG,
            existingSecret=NAME,
            key=SECRET_KEY,
            instance=whole(1, 9007199254740991),
            resources={"$ref": "#/definitions/chartResources"},
        ),
        # Keys that Helm itself reads.
        "global": ANY_OBJECT,
    }
    network = properties["networkPolicy"]["properties"]
    network["except"] = network.pop("except_")
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the eventrelay chart",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "definitions": definitions | {"chartResources": RESOURCES},
    }
    return json.dumps(schema, indent=2) + "\n"
