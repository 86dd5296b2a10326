"""One row per value: what is set, and what must be rendered."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import CHART, MAJORS, ROOT, render

DIGEST = "sha256:" + "ab" * 32
BOX = {"sources": {"box": {"keys": [{"file": "/run/secrets/eventrelay/box"}]}}}


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ({}, "eventrelay:0.1.0"),
        ({"registry": "r.example.com", "repository": "a/b", "tag": "7"}, "r.example.com/a/b:7"),
        ({"tag": "7", "digest": DIGEST}, f"eventrelay@{DIGEST}"),
    ],
)
def test_image(image: dict[str, str], shown: str) -> None:
    rendered = render({"image": image, "control": {"enabled": True}})
    assert {c["image"] for c in rendered.containers()} == {shown}


def test_pull_policy_and_secrets_on_every_pod() -> None:
    rendered = render({"image": {"pullPolicy": "Always", "pullSecrets": ["a", "b"]}})
    assert {c["imagePullPolicy"] for c in rendered.containers()} == {"Always"}
    for spec in rendered.pods():
        assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_no_config_looks_for_kafka_at_its_name() -> None:
    config = render().config()
    assert config == {"version": 1, "kafka": {"bootstrap.servers": "kafka:9092"}}


@pytest.mark.parametrize("major", MAJORS)
def test_config_arrives_as_it_was_given(major: str) -> None:
    given = yaml.safe_load((CHART / "ci/production-values.yaml").read_text("utf-8"))["config"]
    arrived = render(CHART / "ci/production-values.yaml", major).config()
    assert arrived == given | {"version": 1}
    large = {"config": {"instances": [{"id": 9007199254740991, "element": "box"}]}}
    assert render(large, major).config()["instances"][0]["id"] == 9007199254740991
    assert "9007199254740991" in render(large, major).text


def test_existing_config_map_is_mounted_and_none_is_made() -> None:
    rendered = render({"existingConfigMap": "mine"})
    assert not rendered.of("ConfigMap")
    volumes = rendered.workload("relay")["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["configMap"]["name"] == "mine"


def test_a_changed_config_restarts_the_pods_unless_they_watch() -> None:
    def checksum(values: dict[str, Any]) -> str | None:
        template = render(values).workload("ingest")["spec"]["template"]
        return template["metadata"].get("annotations", {}).get("checksum/config")

    one, two = ({"config": {"log": {"level": level}}} for level in ("info", "debug"))
    assert checksum(one) != checksum(two) and checksum(one) == checksum(dict(one))
    assert checksum(one | {"reload": "watch"}) is None
    assert "--watch" in render({"reload": "watch"}).container("relay")["args"]
    assert "--watch" not in render().container("relay")["args"]


def test_secret_files_and_token_are_one_folder_for_every_role() -> None:
    rendered = render(
        {
            "secretFiles": {"box": {"secret": "s", "key": "k"}},
            "admin": {"existingSecret": "adm", "key": "tok"},
            "config": BOX,
            "control": {"enabled": True},
        }
    )
    for role in ("ingest", "relay", "control"):
        container = rendered.container(role)
        mounts = {m["name"]: m for m in container["volumeMounts"]}
        assert mounts["secrets"]["mountPath"] == "/run/secrets/eventrelay"
        assert mounts["secrets"]["readOnly"] is True
        assert "admin.token_file=/run/secrets/eventrelay/admin-token" in container["args"]
        assert "admin.open=[metrics]" not in container["args"]
        spec = rendered.workload(role)["spec"]["template"]["spec"]
        (volume,) = (v for v in spec["volumes"] if v["name"] == "secrets")
        assert volume["projected"]["sources"] == [
            {"secret": {"name": "s", "items": [{"key": "k", "path": "box"}]}},
            {"secret": {"name": "adm", "items": [{"key": "tok", "path": "admin-token"}]}},
        ]


def test_without_a_token_metrics_alone_are_open() -> None:
    for role in ("ingest", "relay"):
        arguments = render().container(role)["args"]
        assert "admin.open=[metrics]" in arguments
        assert not any("token_file" in a for a in arguments)


ROLE_VALUES = {
    "replicas": (3, lambda w, s, c: w["spec"]["replicas"]),
    "resources": (
        {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        lambda w, s, c: c["resources"],
    ),
    "podAnnotations": (
        {"a": "b"},
        lambda w, s, c: {
            k: v for k, v in w["spec"]["template"]["metadata"]["annotations"].items() if k == "a"
        },
    ),
    "podLabels": (
        {"a": "b"},
        lambda w, s, c: {
            k: v for k, v in w["spec"]["template"]["metadata"]["labels"].items() if k == "a"
        },
    ),
    "nodeSelector": ({"disk": "ssd"}, lambda w, s, c: s["nodeSelector"]),
    "affinity": ({"nodeAffinity": {}}, lambda w, s, c: s["affinity"]),
    "tolerations": ([{"key": "x", "operator": "Exists"}], lambda w, s, c: s["tolerations"]),
    "topologySpreadConstraints": (
        [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
        lambda w, s, c: s["topologySpreadConstraints"],
    ),
    "priorityClassName": ("high", lambda w, s, c: s["priorityClassName"]),
    "terminationGracePeriodSeconds": (300, lambda w, s, c: s["terminationGracePeriodSeconds"]),
    "extraEnv": ([{"name": "A", "value": "b"}], lambda w, s, c: c["env"]),
    "extraEnvFrom": ([{"secretRef": {"name": "s"}}], lambda w, s, c: c["envFrom"]),
    "extraVolumes": ([{"name": "v", "emptyDir": {}}], lambda w, s, c: s["volumes"][-1:]),
    "extraVolumeMounts": (
        [{"name": "v", "mountPath": "/v"}],
        lambda w, s, c: c["volumeMounts"][-1:],
    ),
}


@pytest.mark.parametrize("role", ["ingest", "relay", "control"])
@pytest.mark.parametrize("value", ROLE_VALUES)
def test_role_values(role: str, value: str) -> None:
    given, shown = ROLE_VALUES[value]
    if (role, value) == ("control", "replicas"):
        given = 1
    rendered = render({role: {"enabled": True, value: given}})
    workload = rendered.workload(role)
    spec = workload["spec"]["template"]["spec"]
    assert shown(workload, spec, spec["containers"][0]) == given
    for other in {"ingest", "relay"} - {role}:
        spec = rendered.workload(other)["spec"]["template"]["spec"]
        found = spec["containers"][0]
        try:
            assert shown(rendered.workload(other), spec, found) != given
        except KeyError:
            pass


def test_extra_containers_are_as_restricted_as_ours() -> None:
    side = {"name": "side", "image": "side:1", "securityContext": {"runAsUser": 7}}
    spec = render({"relay": {"extraContainers": [side]}}).workload("relay")["spec"]["template"][
        "spec"
    ]
    context = spec["containers"][1]["securityContext"]
    assert context["runAsUser"] == 7 and context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("role", ["ingest", "relay"])
def test_a_role_can_be_left_out(role: str) -> None:
    components = {
        o["metadata"]["labels"]["app.kubernetes.io/component"]
        for o in render(
            {
                role: {"enabled": False},
                "serviceMonitor": {"enabled": True},
                "networkPolicy": {"enabled": True},
            }
        ).objects
    }
    assert role not in components and {"ingest", "relay"} - {role} <= components


@pytest.mark.parametrize(
    ("config", "ingest", "relay"),
    [
        ({}, 26, 40),
        ({"ingest": {"drain_delay": "1m", "ack_timeout": "500ms"}}, 77, 40),
        ({"relay": {"drain_timeout": "5m"}}, 26, 315),
        ({"relay": {"drain_timeout": "1500ms"}}, 26, 17),
    ],
)
def test_grace_comes_from_the_drain_times(config: dict[str, Any], ingest: int, relay: int) -> None:
    rendered = render({"config": config})
    for role, seconds in (("ingest", ingest), ("relay", relay)):
        spec = rendered.workload(role)["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] == seconds


def test_hpa_and_no_replicas() -> None:
    rendered = render(
        {
            role: {"autoscaling": {"type": "hpa", "minReplicas": 3, "maxReplicas": 9}}
            for role in ("ingest", "relay")
        }
    )
    assert not rendered.of("ScaledObject") and len(rendered.of("HorizontalPodAutoscaler")) == 2
    for role in ("ingest", "relay"):
        assert "replicas" not in rendered.workload(role)["spec"]
        spec = rendered.one("HorizontalPodAutoscaler", role)["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
        assert spec["scaleTargetRef"]["name"] == rendered.workload(role)["metadata"]["name"]
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_keda_scales_the_relay_on_lag_and_on_the_age_of_the_unread() -> None:
    rendered = render(
        {
            "relay": {
                "autoscaling": {
                    "type": "keda",
                    "minReplicas": 2,
                    "maxReplicas": 50,
                    "authenticationRef": "k",
                }
            },
            "secretFiles": {"kafka": {"secret": "s", "key": "k"}},
            "config": {
                "topics": {"prefix": "er.", "partitions": 24},
                "relay": {"group": "g"},
                "kafka": {
                    "bootstrap.servers": "b:1",
                    "security.protocol": "SASL_SSL",
                    "sasl.mechanism": "SCRAM-SHA-256",
                    "sasl.password": {"file": "/run/secrets/eventrelay/kafka"},
                },
            },
        }
    )
    assert "replicas" not in rendered.workload("relay")["spec"]
    assert rendered.workload("ingest")["spec"]["replicas"] == 2
    spec = rendered.one("ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 24)
    kafka, prometheus = spec["triggers"]
    assert kafka["type"] == "kafka"
    assert kafka["metadata"]["topic"] == "er.events"
    assert kafka["metadata"]["consumerGroup"] == "g"
    assert kafka["metadata"]["bootstrapServers"] == "b:1"
    assert kafka["metadata"]["allowIdleConsumers"] == "false"
    assert (kafka["metadata"]["tls"], kafka["metadata"]["sasl"]) == ("enable", "scram_sha256")
    assert kafka["authenticationRef"] == {"name": "k"}
    assert prometheus["type"] == "prometheus" and prometheus["metricType"] == "Value"
    assert prometheus["metadata"]["ignoreNullValues"] == "false"
    assert "oldest_unread" in prometheus["metadata"]["query"]
    assert "pending" not in prometheus["metadata"]["query"]
    assert all(isinstance(v, str) for t in spec["triggers"] for v in t["metadata"].values())


@pytest.mark.parametrize(
    ("protocol", "tls"),
    [("plaintext", None), ("sasl_plaintext", None), ("ssl", "enable"), ("sasl_ssl", "enable")],
)
def test_keda_speaks_to_kafka_as_we_do(protocol: str, tls: str | None) -> None:
    rendered = render(
        {
            "relay": {"autoscaling": {"type": "keda"}},
            "config": {"kafka": {"security.protocol": protocol}},
        }
    )
    metadata = rendered.one("ScaledObject")["spec"]["triggers"][0]["metadata"]
    assert metadata.get("tls") == tls and "sasl" not in metadata


def test_an_autoscaler_never_passes_the_partitions() -> None:
    for kind in ("hpa", "keda"):
        rendered = render({"relay": {"autoscaling": {"type": kind, "maxReplicas": 100}}})
        (found,) = rendered.of("HorizontalPodAutoscaler") + rendered.of("ScaledObject")
        assert 12 in (found["spec"].get("maxReplicas"), found["spec"].get("maxReplicaCount"))
    given = {
        "existingConfigMap": "c",
        "relay": {"autoscaling": {"type": "keda", "maxReplicas": 100, "partitions": 64}},
    }
    assert render(given).one("ScaledObject")["spec"]["maxReplicaCount"] == 64


def test_stateful_relay_is_named_after_its_pod() -> None:
    rendered = render({"relay": {"workload": "StatefulSet", "replicas": 4}})
    spec = rendered.one("StatefulSet")["spec"]
    assert spec["podManagementPolicy"] == "Parallel" and spec["replicas"] == 4
    assert any(s["metadata"]["name"] == spec["serviceName"] for s in rendered.of("Service"))
    container = rendered.container("relay")
    assert "kafka.group.instance.id=$(POD_NAME)" in container["args"]
    assert container["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert not any("instance.id" in a for a in rendered.container("ingest")["args"])


def test_rollouts() -> None:
    rendered = render({"control": {"enabled": True}})
    strategies = {
        r: rendered.workload(r)["spec"]["strategy"] for r in ("ingest", "relay", "control")
    }
    assert strategies["ingest"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "25%"}
    assert strategies["relay"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert strategies["control"] == {"type": "Recreate"}
    assert rendered.workload("control")["spec"]["replicas"] == 1


def test_only_the_control_role_runs_the_control_api() -> None:
    rendered = render(CHART / "ci/control-values.yaml")
    assert "control.enabled=true" in rendered.container("control")["args"]
    assert "control.enabled=false" in rendered.container("ingest")["args"]
    assert rendered.container("control")["command"] == ["/usr/bin/eventrelay-ingest"]
    public = rendered.one("Service", "-ingest")["spec"]["selector"]
    assert public["app.kubernetes.io/component"] == "ingest"


def test_the_chart_owns_the_listeners() -> None:
    rendered = render(CHART / "ci/control-values.yaml")
    arguments = rendered.container("ingest")["args"]
    assert "admin.listen=0.0.0.0:9464" in arguments
    assert "ingest.admin.listen=0.0.0.0:9464" in arguments
    assert "ingest.listen=0.0.0.0:8080" in arguments
    assert "admin.listen=0.0.0.0:9465" in rendered.container("relay")["args"]


def test_spread_over_zone_and_host_and_short_names() -> None:
    rendered = render()
    for role in ("ingest", "relay"):
        spec = rendered.workload(role)["spec"]["template"]["spec"]
        keys = [c["topologyKey"] for c in spec["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    relay = rendered.workload("relay")["spec"]["template"]["spec"]
    assert relay["dnsConfig"]["options"] == [{"name": "ndots", "value": "2"}]


def test_network_policies() -> None:
    rendered = render({"networkPolicy": {"enabled": True}})
    relay = rendered.one("NetworkPolicy", "-relay")["spec"]
    blocks = [
        t["ipBlock"] for rule in relay["egress"] for t in rule.get("to", []) if "ipBlock" in t
    ]
    left_out = {cidr for block in blocks for cidr in block["except"]}
    assert {b["cidr"] for b in blocks} == {"0.0.0.0/0", "::/0"}
    assert {
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
    } <= left_out
    # What the API server asks: each exception lies inside, and the v4 addresses in v6 do not.
    for block in blocks:
        whole = ipaddress.ip_network(block["cidr"])
        for cidr in block["except"]:
            assert ipaddress.ip_network(cidr).subnet_of(whole) and "ffff:0:0" not in cidr
    ingest = rendered.one("NetworkPolicy", "-ingest")["spec"]
    assert "from" not in ingest["ingress"][0] and ingest["ingress"][1]["from"]
    assert not any("ipBlock" in t for rule in ingest["egress"] for t in rule.get("to", []))
    assert all(
        p["spec"]["policyTypes"] == ["Ingress", "Egress"] for p in rendered.of("NetworkPolicy")
    )


def test_service_monitor() -> None:
    rendered = render(
        {
            "serviceMonitor": {"enabled": True, "labels": {"release": "p"}},
            "admin": {"existingSecret": "adm", "key": "tok"},
        }
    )
    assert len(rendered.of("ServiceMonitor")) == 2
    for monitor in rendered.of("ServiceMonitor"):
        (endpoint,) = monitor["spec"]["endpoints"]
        role = monitor["metadata"]["labels"]["app.kubernetes.io/component"]
        assert monitor["metadata"]["labels"]["release"] == "p"
        assert endpoint["authorization"]["credentials"] == {"name": "adm", "key": "tok"}
        assert endpoint["relabelings"][0]["replacement"] == f"eventrelay-{role}"
        selector = monitor["spec"]["selector"]["matchLabels"]
        services = [
            s for s in rendered.of("Service") if selector.items() <= s["metadata"]["labels"].items()
        ]
        assert [s["metadata"]["name"] for s in services] == [f"rel-eventrelay-{role}-admin"]
    assert "authorization" not in render({"serviceMonitor": {"enabled": True}}).text


def test_ingress_and_route_lead_to_events_alone() -> None:
    rendered = render(CHART / "ci/production-values.yaml")
    spec = rendered.one("Ingress")["spec"]
    assert spec["ingressClassName"] == "nginx" and spec["tls"][0]["secretName"] == "hooks-tls"
    (rule,) = spec["rules"]
    assert rule["host"] == "hooks.example.com"
    assert rule["http"]["paths"][0]["path"] == "/elements/api-v2/"
    route = render(CHART / "ci/stateful-values.yaml").one("HTTPRoute")["spec"]
    assert route["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/hooks"}}]


def test_dashboards_and_rules_are_the_shipped_files() -> None:
    rendered = render(CHART / "ci/production-values.yaml")
    data = rendered.one("ConfigMap", "-dashboards")["data"]
    assert len(data) == 2
    for name, text in data.items():
        shipped = CHART / "files/dashboards" / name.removeprefix("eventrelay-")
        assert json.loads(text) == json.loads(shipped.read_text("utf-8"))
    rule = rendered.one("PrometheusRule")
    shipped = yaml.safe_load((CHART / "files/rules/eventrelay.yaml").read_text("utf-8"))
    assert rule["spec"]["groups"][:-1] == shipped["groups"]
    assert rule["spec"]["groups"][-1]["rules"] == [
        {
            "record": "eventrelay:source_silent:threshold_seconds",
            "expr": "vector(3600)",
            "labels": {"source": "box"},
        }
    ]


def test_rendered_rules_pass_promtool(tmp_path: Path) -> None:
    rule = render(CHART / "ci/production-values.yaml").one("PrometheusRule")
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rule["spec"]))
    answer = subprocess.run(
        [ROOT / ".ci/promtool", "check", "rules", "--lint=all", "--lint-fatal", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_runbooks_can_be_elsewhere() -> None:
    rendered = render({"prometheusRule": {"enabled": True, "runbooks": "https://wiki/runbooks"}})
    urls = [
        r["annotations"]["runbook_url"]
        for g in rendered.one("PrometheusRule")["spec"]["groups"]
        for r in g["rules"]
        if "alert" in r
    ]
    assert urls and all(u.startswith("https://wiki/runbooks#eventrelay") for u in urls)


def test_common_labels_are_on_all_and_in_no_selector() -> None:
    rendered = render(
        {
            "commonLabels": {"team": "x"},
            "networkPolicy": {"enabled": True},
            "serviceMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
        }
    )
    for found in rendered.objects:
        assert found["metadata"]["labels"]["team"] == "x", found["kind"]
    assert rendered.workload("relay")["spec"]["template"]["metadata"]["labels"]["team"] == "x"
    for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy"):
        for found in rendered.of(kind):
            selector = found["spec"].get("selector") or found["spec"]["podSelector"]
            assert "team" not in selector["matchLabels"]


def test_extra_objects_are_rendered() -> None:
    names = [
        o["metadata"]["name"] for o in render(CHART / "ci/stateful-values.yaml").of("ConfigMap")
    ]
    assert {"rel-extra", "rel-text"} <= set(names)


def test_helm_test_sends_one_event_with_our_own_image() -> None:
    (pod,) = render(
        {
            "config": {
                "kafka": {"bootstrap.servers": "b:1"},
                "topics": {"prefix": "er.", "replication_factor": 3},
            }
        }
    ).of("Pod")
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["/usr/bin/eventrelay", "dev", "--once"]
    assert container["args"] == ["--kafka", "b:1"]
    env = {e["name"]: e["value"] for e in container["env"]}
    # Never the topics or the group of the installed services.
    assert env["EVENTRELAY__TOPICS__PREFIX"] == "er.helm-test."
    assert env["EVENTRELAY__RELAY__GROUP"] == "eventrelay-relay-helm-test"
    assert env["EVENTRELAY__TOPICS__REPLICATION_FACTOR"] == "3"
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_helm_test_through_the_installed_services() -> None:
    rendered = render({"test": {"existingSecret": "t"}, "networkPolicy": {"enabled": True}})
    (pod,) = rendered.of("Pod")
    receive, send = pod["spec"]["containers"]
    assert receive["command"][1] == "listen" and send["command"][1:] == ["send", "standard"]
    config = rendered.config()
    assert config["instances"][0]["id"] == 9007199254740991
    callback = config["instances"][0]["configuration"]["event.notification.callback.url"]
    assert callback == "http://rel-eventrelay-test.ns.svc:8080/"
    assert config["sources"]["helm-test"]["keys"] == [{"file": "/run/secrets/eventrelay/helm-test"}]
    assert send["args"][1].endswith("/events/helm-test/OTAwNzE5OTI1NDc0MDk5MQ==")
    assert rendered.one("Service", "-test")["spec"]["publishNotReadyAddresses"] is True
    peers = json.dumps(rendered.one("NetworkPolicy", "-relay")["spec"]["egress"])
    assert '"app.kubernetes.io/component": "test"' in peers
    assert not render({"test": {"enabled": False}}).of("Pod")


def test_every_value_is_covered_by_the_schema_and_described() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))

    def compare(value: Any, node: dict[str, Any], path: str) -> None:
        assert node.get("additionalProperties") is not None or not value, path
        for key, inner in value.items():
            assert key in node["properties"], f"{path}.{key}"
            below = node["properties"][key]
            if isinstance(inner, dict) and below.get("properties"):
                compare(inner, below, f"{path}.{key}")

    compare(values, schema, "values")
    assert set(schema["properties"]) - set(values) == {"global"}
