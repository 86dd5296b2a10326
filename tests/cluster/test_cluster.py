"""The chart installed for real: every webhook 202, nothing lost, nothing twice, whatever is rolled.

The tests run in order; each takes the release as the one before left it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import yaml

from conftest import CALLBACK_KEY, PROGRAM, RATE, RECEIVER, SOURCE_KEY, Receiver, Traffic, until
from node import Node

CHART = Path(__file__).resolve().parents[2] / "helm"
SMALL = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}


def values(kafka: str) -> dict[str, Any]:
    return {
        "image": {"registry": "localhost", "tag": "test", "pullPolicy": "Never"},
        "secretFiles": {
            "box": {"secret": "keys", "key": "box"},
            "callback": {"secret": "keys", "key": "callback"},
        },
        "admin": {"existingSecret": "keys"},
        "config": {
            "kafka": {"bootstrap.servers": kafka},
            "ingest": {"memory_max": "32MiB", "shards": 1, "drain_delay": "3s"},
            "relay": {"memory_max": "32MiB", "shards": 1},
            "sources": {"box": {"keys": [{"file": "/run/secrets/eventrelay/box"}]}},
            "instances": [
                {
                    "id": 427236,
                    "element": "box",
                    "name": "docs",
                    "configuration": {
                        "event.notification.enabled": True,
                        "event.notification.callback.url": f"http://{RECEIVER}:9999/events",
                        "event.notification.signature.key": {
                            "file": "/run/secrets/eventrelay/callback"
                        },
                    },
                    "delivery": {"allow_http": True, "allow_private_addresses": True},
                }
            ],
        },
        "ingest": {"resources": SMALL},
        "relay": {"resources": SMALL},
        "test": {
            "existingSecret": "keys",
            "key": "test",
            "resources": {
                "requests": {"cpu": "20m", "memory": "64Mi"},
                "limits": {"memory": "128Mi"},
            },
        },
    }


class Release:
    """One installation, as a person would drive it."""

    def __init__(self, node: Node, work: Path, given: dict[str, Any], namespace: str, major: str):
        self.node, self.work, self.values = node, work, given
        self.namespace, self.major = namespace, major
        self.file = work / f"{namespace}.yaml"
        self.place = ["--namespace", namespace]

    def prepare(self) -> None:
        self.node.kubectl("create", "namespace", self.namespace)
        self.node.kubectl(
            "label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted"
        )
        self.node.kubectl(
            *self.place,
            "create",
            "secret",
            "generic",
            "keys",
            f"--from-literal=box={SOURCE_KEY}",
            f"--from-literal=callback={CALLBACK_KEY}",
            "--from-literal=token=token-of-the-tests",
            "--from-literal=test=whsec_dGVzdCBrZXkgb2YgdGhlIGNsdXN0ZXIgdGVzdHM=",
        )

    def helm(self, command: str, *arguments: str) -> str:
        self.file.write_text(yaml.safe_dump(self.values))
        answer = self.node.helm(self.major, command, "eventrelay", *arguments, *self.place)
        assert answer.returncode == 0, (
            f"helm {command}: {answer.stdout}{answer.stderr}\n" + self.state()
        )
        return answer.stdout

    def install(self) -> None:
        self.helm("install", str(CHART), "--values", str(self.file), "--wait", "--timeout", "120s")

    def upgrade(self, *arguments: str) -> None:
        self.helm(
            "upgrade",
            str(CHART),
            "--values",
            str(self.file),
            "--wait",
            "--timeout",
            "180s",
            *arguments,
        )

    def address(self) -> str:
        return self.node.get(*self.place, "service", "eventrelay-ingest")["spec"]["clusterIP"]

    def pods(self, component: str = "") -> list[dict[str, Any]]:
        selector = "app.kubernetes.io/part-of=eventrelay"
        if component:
            selector += f",app.kubernetes.io/component={component}"
        return self.node.get(*self.place, "pods", "-l", selector)["items"]

    def settled(self) -> bool:
        """Every Deployment has what it wants, all of it ready and nothing on its way out."""
        for deployment in self.node.get(*self.place, "deployments")["items"]:
            wanted, status = deployment["spec"]["replicas"], deployment["status"]
            if status.get("readyReplicas", 0) != wanted or status.get("replicas", 0) != wanted:
                return False
            if status.get("updatedReplicas", 0) != wanted:
                return False
        return all("deletionTimestamp" not in pod["metadata"] for pod in self.pods())

    def settle(self) -> None:
        until(self.settled, 120, f"{self.namespace} is settled:\n{self.state()}")

    def state(self) -> str:
        return (
            self.node.kubectl(*self.place, "get", "pods", "-o", "wide", check=False)
            + self.node.kubectl(
                *self.place, "get", "events", "--sort-by=.lastTimestamp", check=False
            )[-4000:]
            + self.node.kubectl(
                *self.place,
                "logs",
                "-l",
                "app.kubernetes.io/part-of=eventrelay",
                "--all-containers",
                "--prefix",
                "--tail=15",
                check=False,
            )[-6000:]
        )


@pytest.fixture(scope="module")
def release(node: Node, kafka: str, work: Path) -> Iterator[Release]:
    found = Release(node, work, values(kafka), "er", "4")
    found.prepare()
    yield found


@pytest.fixture(scope="module")
def definitions(node: Node) -> None:
    """The kinds of others, as their own types define them."""
    # A dry run makes nothing, and a pod is asked for its account.
    node.kubectl("create", "serviceaccount", "rel-eventrelay")
    for path in sorted(Path(os.environ["EVENTRELAY_CRDS"]).glob("*.yaml")):
        found = yaml.safe_load(path.read_text("utf-8"))
        # Groups below k8s.io need it; what is made of the types does not have it.
        found["metadata"].setdefault("annotations", {})[
            "api-approved.kubernetes.io"
        ] = "unapproved, made for a test"
        node.kubectl("create", "-f", "-", stdin=json.dumps(found))
        name = f"crd/{found['metadata']['name']}"
        # `kubectl wait` fails where there is no condition at all yet.
        until(
            lambda name=name: node.kubectl(
                "wait", "--for=condition=Established", "--timeout=5s", name, check=False
            ),
            30,
            f"{name} is established",
        )


def under_traffic(
    release: Release, receiver: Receiver, seconds: int, act: Callable[[], None]
) -> None:
    """Does something while webhooks come; then all were taken, and each was delivered once."""
    before = set(receiver.ids())
    traffic = Traffic(release.work, release.address(), seconds)
    act()
    assert traffic.running(), f"{seconds} s of traffic were over before it was done"
    statuses, accepted = traffic.finish()
    assert statuses == {202: traffic.count}, f"{statuses}\n{release.state()}"
    assert len(accepted) == traffic.count

    def delivered() -> bool:
        return accepted <= set(receiver.ids())

    try:
        until(delivered, 60, f"all {len(accepted)} are delivered")
    except AssertionError as error:
        there = len(accepted & set(receiver.ids()))
        raise AssertionError(f"{error}: {there} are\n{release.state()}") from None
    ids = receiver.ids()
    twice = {i: n for i, n in ids.items() if i in accepted and n != 1}
    assert not twice, f"{len(twice)} of {len(accepted)} came twice"
    assert set(ids) - before == accepted
    print(f"{traffic.count} events at {RATE}/s: all 202, 0 lost, 0 twice")


@pytest.mark.parametrize(
    "case", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.name
)
def test_the_api_server_takes_every_object(node: Node, definitions: None, case: Path) -> None:
    """Strictly, and with the definitions of KEDA, the Prometheus operator and the Gateway API."""
    made = node.helm("4", "template", "rel", str(CHART), "--values", str(case), "-n", "default")
    assert made.returncode == 0, made.stderr
    answer = node.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=made.stdout
    )
    assert answer.count("created (server dry run)") >= 9, answer


def test_installs_in_a_namespace_that_enforces_restricted(release: Release) -> None:
    release.install()
    release.settle()
    assert len(release.pods("ingest")) == 2 and len(release.pods("relay")) == 2
    for pod in release.pods():
        assert all(c["restartCount"] == 0 for c in pod["status"]["containerStatuses"])


def test_restricted_is_really_enforced(release: Release, node: Node) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "free", "namespace": "er"},
        "spec": {"containers": [{"name": "c", "image": "localhost/eventrelay:test"}]},
    }
    answer = node.kubectl("apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert "created" not in answer


def test_helm_test_goes_through_the_installed_services(release: Release) -> None:
    release.helm("test", "--timeout", "120s")
    logs = release.node.kubectl(*release.place, "logs", "eventrelay-test", "--all-containers")
    assert "202" in logs and "#1 POST /" in logs, logs


def test_delivers_signed_events(release: Release, receiver: Receiver) -> None:
    under_traffic(release, receiver, 5, lambda: None)
    assert all(line["signature"] == "verified" for line in receiver.deliveries())


def test_upgrade_to_another_image_and_configuration(release: Release, receiver: Receiver) -> None:
    release.values["image"]["tag"] = "next"
    release.values["config"]["log"] = {"level": "debug"}

    def act() -> None:
        release.upgrade()
        release.settle()

    under_traffic(release, receiver, 60, act)
    images = {c["image"] for pod in release.pods("relay") for c in pod["spec"]["containers"]}
    assert images == {"localhost/eventrelay:next"}


def test_rollback(release: Release, receiver: Receiver) -> None:
    def act() -> None:
        release.helm("rollback", "1", "--wait", "--timeout", "180s")
        release.settle()

    under_traffic(release, receiver, 60, act)
    images = {c["image"] for pod in release.pods("ingest") for c in pod["spec"]["containers"]}
    assert images == {"localhost/eventrelay:test"}
    release.values["image"]["tag"] = "test"
    del release.values["config"]["log"]


def evict(node: Node, name: str, check: bool = True) -> str:
    """Asks for the eviction of a pod, as a drain of its node does; what kubectl says."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": "er"},
    }
    path = f"/api/v1/namespaces/er/pods/{name}/eviction"
    return node.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), check=check)


def test_every_pod_is_evicted_in_turn(release: Release, receiver: Receiver, node: Node) -> None:
    def act() -> None:
        for pod in release.pods():
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test":
                continue
            name = pod["metadata"]["name"]
            evict(node, name)
            until(
                lambda gone=name: gone not in {p["metadata"]["name"] for p in release.pods()},
                60,
                f"{name} is gone",
            )
            release.settle()

    under_traffic(release, receiver, 110, act)


def test_the_budget_keeps_a_second_pod_of_a_role(release: Release, node: Node) -> None:
    first, second = (pod["metadata"]["name"] for pod in release.pods("ingest"))
    answers = [evict(node, name, check=False) for name in (first, second)]
    assert "Success" in answers[0] and "Success" not in answers[1]
    release.settle()


def test_relay_two_four_one(release: Release, receiver: Receiver, node: Node) -> None:
    def act() -> None:
        for replicas in (4, 1):
            node.kubectl(
                "-n", "er", "scale", "deployment/eventrelay-relay", f"--replicas={replicas}"
            )
            release.settle()
            assert len(release.pods("relay")) == replicas

    under_traffic(release, receiver, 60, act)


def test_uninstall_leaves_nothing_of_ours(release: Release, node: Node) -> None:
    release.helm("uninstall", "--wait", "--timeout", "120s")
    kinds = "deployments,statefulsets,pods,services,configmaps,poddisruptionbudgets,serviceaccounts"

    def left() -> list[str]:
        return [
            f"{o['kind']} {o['metadata']['name']}"
            for o in node.get("-n", "er", kinds)["items"]
            if o["metadata"]["name"] not in ("kube-root-ca.crt", "default", "eventrelay-test")
        ]

    # Pods drain for as long as they are given.
    until(lambda: not left(), 60, "nothing is left")


def test_the_other_major_installs_stateful_relays(
    node: Node, kafka: str, work: Path, receiver: Receiver
) -> None:
    given = values(kafka)
    given["relay"] |= {"workload": "StatefulSet", "replicas": 2}
    given["test"] = {"resources": given["test"]["resources"]}
    given["config"] |= {"topics": {"prefix": "second."}}
    release = Release(node, work, given, "er3", "3")
    release.prepare()
    release.install()
    release.settle()
    under_traffic(release, receiver, 5, lambda: None)
    # The test pod runs both services itself, beside the installed ones.
    release.helm("test", "--timeout", "120s")
    logs = node.kubectl("-n", "er3", "logs", "eventrelay-test")
    assert "signature verified" in logs, logs
    release.helm("uninstall", "--wait", "--timeout", "120s")


def test_the_control_role_makes_an_instance_that_all_pods_serve(
    node: Node, kafka: str, work: Path, receiver: Receiver
) -> None:
    """One pod owns the instances; ingest and relay follow the topic, without a restart."""
    given = values(kafka)
    given["test"] = {"resources": given["test"]["resources"]}
    given["control"] = {"enabled": True, "resources": SMALL}
    given["secretFiles"] = {
        name: {"secret": "control", "key": name} for name in ("seal", "organization", "user")
    }
    mounted = "/run/secrets/eventrelay/"
    given["config"].pop("instances")
    given["config"] |= {
        "registry": "topic",
        "topics": {"prefix": "third."},
        "sources": {},
        "seal": {"keys": [{"id": "k1", "key": {"file": mounted + "seal"}}]},
        "control": {
            "delivery_defaults": {"allow_http": True, "allow_private_addresses": True},
            "organizations": [
                {
                    "id": 1,
                    "name": "acme",
                    "secret": {"file": mounted + "organization"},
                    "accounts": [
                        {
                            "id": 10,
                            "name": "main",
                            "users": [{"id": 100, "secret": {"file": mounted + "user"}}],
                        }
                    ],
                }
            ],
        },
    }
    given["config"]["ingest"] |= {"public_url": "https://hooks.example.com"}
    release = Release(node, work, given, "er4", "4")
    release.prepare()
    node.kubectl(
        *release.place,
        "create",
        "secret",
        "generic",
        "control",
        f"--from-literal=seal={base64.b64encode(bytes(range(32))).decode()}",
        "--from-literal=organization=organization-secret-of-the-tests",
        "--from-literal=user=user-secret-of-the-tests",
    )
    release.install()
    release.settle()
    (pod,) = release.pods("control")
    workload = node.get(*release.place, "deployment", "eventrelay-control")
    assert workload["spec"]["replicas"] == 1
    assert workload["spec"]["strategy"] == {"type": "Recreate"}

    def call(method: str, path: str, body: Any = None, secret: str = "user") -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://{pod['status']['podIP']}:9464/elements/api-v2{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"User {secret}-secret-of-the-tests,"
                " Organization organization-secret-of-the-tests",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    assert call("GET", "/instances") == (200, [])
    assert call("GET", "/instances", secret="another")[0] == 401
    status, made = call(
        "POST",
        "/instances",
        {
            "element": {"key": "github"},
            "name": "hook",
            "configuration": {
                "event.notification.enabled": True,
                "event.notification.callback.url": f"http://{RECEIVER}:9999/events",
                "event.notification.signature.key": CALLBACK_KEY,
                "event.vendor.signature.key": SOURCE_KEY,
            },
        },
    )
    assert status == 200, made
    assert made["webhookUrl"].startswith("https://hooks.example.com/elements/api-v2/events/github/")
    path = made["webhookUrl"].removeprefix("https://hooks.example.com")
    until(lambda: len(call("GET", "/instances")[1]) == 1, 10, "the instance is listed")
    hold_until = time.monotonic() + 1  # what a 200 means: in force everywhere within a second
    until(lambda: time.monotonic() > hold_until, 5, "a second has passed")
    before = set(receiver.ids())
    sent = subprocess.run(
        [
            PROGRAM,
            "send",
            "github",
            "--key",
            SOURCE_KEY,
            "--url",
            f"http://{release.address()}:8080{path}",
            "--count",
            "40",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr + release.state()
    until(lambda: len(set(receiver.ids()) - before) == 40, 30, "all 40 are delivered")
    release.helm("uninstall", "--wait", "--timeout", "120s")
