"""Bad values: not 0, and the key is named, with both majors; a secret's value is not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from conftest import MAJORS, template

SECRET = "hunter2hunter2"


def source(**more: Any) -> dict[str, Any]:
    return {"config": {"sources": {"box": more}}}


def instance(**more: Any) -> dict[str, Any]:
    return {"config": {"instances": [{"id": 1, "element": "box", **more}]}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "config and existingConfigMap": (
        {"config": {"log": {"level": "info"}}, "existingConfigMap": "c"},
        "existingConfigMap",
    ),
    "path that nobody provides": (
        source(keys=[{"file": "/run/secrets/eventrelay/missing"}]),
        "config.sources.box.keys[0].file",
    ),
    "path of a token that is not there": (
        {"config": {"kafka": {"ssl.ca.location": "/run/secrets/eventrelay/admin-token"}}},
        "config.kafka.ssl.ca.location",
    ),
    "kafka password": (
        {"config": {"kafka": {"sasl.password": SECRET}}},
        "config.kafka.sasl.password",
    ),
    "kafka key": ({"config": {"kafka": {"ssl.key.pem": SECRET}}}, "config.kafka.ssl.key.pem"),
    "source key": (source(keys=[{"env": "A"}, SECRET]), "config.sources.box.keys[1]"),
    "v1 token": (source(v1={"enabled": True, "token": SECRET}), "config.sources.box.v1.token"),
    "variable with a default": (
        source(keys=["${BOX:-" + SECRET + "}"]),
        "config.sources.box.keys[0]",
    ),
    "signature key": (
        instance(configuration={"event.notification.signature.key": SECRET}),
        "event.notification.signature.key",
    ),
    "oauth secret": (instance(configuration={"oauth.api.secret": SECRET}), "oauth.api.secret"),
    "live keys": (instance(delivery={"keys": [SECRET]}), "config.instances[0].delivery.keys[0]"),
    "header": (
        instance(delivery={"headers": {"Authorization": SECRET}}),
        "delivery.headers.Authorization",
    ),
    "subscription key": (
        instance(subscriptions=[{"name": "a", "url": "https://a", "key": SECRET}]),
        "config.instances[0].subscriptions[0].key",
    ),
    "subscription header": (
        instance(subscriptions=[{"name": "a", "delivery": {"headers": {"X-Api-Key": SECRET}}}]),
        "subscriptions[0].delivery.headers.X-Api-Key",
    ),
    "organization": (
        {"config": {"control": {"organizations": [{"id": 1, "name": "a", "secret": SECRET}]}}},
        "config.control.organizations[0].secret",
    ),
    "user": (
        {
            "config": {
                "control": {
                    "organizations": [
                        {"accounts": [{"id": 10, "users": [{"id": 100, "secret": SECRET}]}]}
                    ]
                }
            }
        },
        "config.control.organizations[0].accounts[0].users[0].secret",
    ),
    "seal": (
        {"config": {"seal": {"keys": [{"id": "k1", "key": SECRET}]}}},
        "config.seal.keys[0].key",
    ),
    "shorter grace of ingest": (
        {"ingest": {"terminationGracePeriodSeconds": 15}},
        "ingest.terminationGracePeriodSeconds",
    ),
    "shorter grace of relay": (
        {
            "relay": {"terminationGracePeriodSeconds": 30},
            "config": {"relay": {"drain_timeout": "26s"}},
        },
        "relay.terminationGracePeriodSeconds",
    ),
    "drain time nobody can read": (
        {"config": {"relay": {"drain_timeout": "${DRAIN}"}}},
        "config.relay.drain_timeout",
    ),
    "one member id for many pods": (
        {"config": {"kafka": {"group.instance.id": "one"}}},
        "config.kafka.group.instance.id",
    ),
    "one member id and an autoscaler": (
        {
            "config": {"kafka": {"group.instance.id": "one"}},
            "relay": {"replicas": 1, "autoscaling": {"type": "keda"}},
        },
        "config.kafka.group.instance.id",
    ),
    "min above max of ingest": (
        {"ingest": {"autoscaling": {"type": "hpa", "minReplicas": 5, "maxReplicas": 3}}},
        "ingest.autoscaling.minReplicas",
    ),
    "min above max of relay": (
        {"relay": {"autoscaling": {"type": "keda", "minReplicas": 5, "maxReplicas": 3}}},
        "relay.autoscaling.minReplicas",
    ),
    "more at least than partitions": (
        {"relay": {"autoscaling": {"type": "hpa", "minReplicas": 13, "maxReplicas": 20}}},
        "relay.autoscaling.minReplicas",
    ),
    "sasl without credentials for keda": (
        {
            "relay": {"autoscaling": {"type": "keda"}},
            "config": {"kafka": {"sasl.mechanism": "PLAIN"}},
        },
        "relay.autoscaling.authenticationRef",
    ),
    "control in the file alone": (
        {"config": {"control": {"enabled": True}}},
        "config.control.enabled",
    ),
    "two control replicas": ({"control": {"enabled": True, "replicas": 2}}, "replicas"),
    "nothing enabled": (
        {"ingest": {"enabled": False}, "relay": {"enabled": False}},
        "ingest.enabled",
    ),
    "ingress without host": ({"ingress": {"enabled": True}}, "ingress.hosts"),
    "ingress without ingest": (
        {"ingress": {"enabled": True, "hosts": [{"host": "a"}]}, "ingest": {"enabled": False}},
        "ingress.enabled",
    ),
    "route without gateway": ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
    "a name the chart needs": (
        {"secretFiles": {"admin-token": {"secret": "s", "key": "k"}}},
        "secretFiles.admin-token",
    ),
    "test instance beside the registry": (
        {"test": {"existingSecret": "s"}, "config": {"registry": "topic"}},
        "test.existingSecret",
    ),
    "unknown value": ({"relay": {"replica": 3}}, "replica"),
    "unknown top value": ({"relays": {}}, "relays"),
    "unknown key of the configuration": ({"config": {"ingest": {"listn": "a:1"}}}, "listn"),
    "unknown key of an instance": (instance(callback="x"), "callback"),
    "unknown section": ({"config": {"kafk": {}}}, "kafk"),
    "wrong type": ({"relay": {"replicas": "three"}}, "replicas"),
    "wrong type in the configuration": (
        {"config": {"relay": {"inflight_max": "many"}}},
        "inflight_max",
    ),
    "out of bounds": ({"config": {"relay": {"inflight_max": 0}}}, "inflight_max"),
    "duration without unit": ({"config": {"relay": {"drain_timeout": "25"}}}, "drain_timeout"),
    "unknown word": ({"relay": {"workload": "DaemonSet"}}, "workload"),
    "unknown autoscaler": ({"ingest": {"autoscaling": {"type": "vpa"}}}, "type"),
    "digest that is none": ({"image": {"digest": "latest"}}, "digest"),
    "secret file without key": ({"secretFiles": {"a": {"secret": "s"}}}, "key"),
    "no memory limit": ({"relay": {"resources": {"limits": {"memory": None}}}}, "memory"),
}


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_by_its_key(case: str, major: str) -> None:
    values, key = REFUSED[case]
    answer = template(values, major)
    assert answer.returncode != 0, answer.stdout[:2000]
    assert key in answer.stderr, answer.stderr
    assert SECRET not in answer.stderr and SECRET not in answer.stdout


@pytest.mark.parametrize("major", MAJORS)
def test_more_than_a_config_map_holds_names_the_way_out(major: str) -> None:
    many = [{"id": n + 1, "element": "box", "name": "x" * 200} for n in range(5000)]
    answer = template({"config": {"instances": many}}, major)
    assert answer.returncode != 0
    assert "ConfigMap holds (1048576)" in answer.stderr and "registry: topic" in answer.stderr
    assert template({"config": {"instances": many[:2000]}}, major).returncode == 0


@pytest.mark.parametrize(
    "values",
    [
        source(keys=["${BOX_KEY}"]),
        source(keys=[{"env": "BOX_KEY"}]),
        {"config": {"kafka": {"group.instance.id": "one"}}, "relay": {"replicas": 1}},
        {"config": {"kafka": {"group.instance.id": "${HOSTNAME}"}}},
        {"config": {"kafka": {"ssl.key.location": "/etc/tls/key.pem"}}},
        {"relay": {"terminationGracePeriodSeconds": 30}},
        {"ingest": {"terminationGracePeriodSeconds": 16}},
        source(keys=[{"file": "/run/secrets/eventrelay/a/b"}])
        | {
            "ingest": {
                "extraVolumeMounts": [{"name": "v", "mountPath": "/run/secrets/eventrelay/a"}]
            }
        },
    ],
    ids=lambda values: yaml.safe_dump(values, default_flow_style=True).strip()[:60],
)
def test_is_taken(values: dict[str, Any]) -> None:
    answer = template(values)
    assert answer.returncode == 0, answer.stderr
