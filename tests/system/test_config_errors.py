"""Every way to get the configuration wrong ends a program with 78, and one line per finding that
names the place, the key, the value and what would be allowed."""

from __future__ import annotations

import copy
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from support.programs import run

BASE: dict[str, Any] = {
    "version": 1,
    "kafka": {"bootstrap.servers": "127.0.0.1:1"},
    "topics": {"prefix": "p.", "partitions": 1},
    "admin": {"listen": "127.0.0.1:0"},
    "ingest": {"listen": ["127.0.0.1:0"]},
    "sources": {"box": {"keys": ["planted-source-key"]}},
    "instances": [
        {
            "id": 1,
            "name": "one",
            "element": "box",
            "configuration": {
                "event.notification.enabled": True,
                "event.notification.callback.url": "https://example.com/x",
                "event.notification.signature.key": "planted-signature-key",
            },
            "delivery": {},
            "subscriptions": [{"name": "audit", "url": "https://example.com/y", "key": "k"}],
        }
    ],
    "relay": {},
    "control": {},
}
DELIVERY = "instances.0.delivery."
CONFIGURATION = "instances.0.configuration/"
SUBSCRIPTION = "instances.0.subscriptions.0."

# (key, value, what the message holds beside the last part of the key)
ROWS: list[tuple[str, Any, list[str]]] = [
    # unknown keys, with the nearest known one
    ("topic", {}, ["unknown", "topics"]),
    ("relai", {}, ["unknown", "relay"]),
    ("topics.partition", 3, ["unknown", "partitions"]),
    ("ingest.lisen", "127.0.0.1:0", ["unknown", "listen"]),
    ("relay.in_flight_max", 1, ["unknown", "inflight_max"]),
    (DELIVERY + "timeouts", "5s", ["unknown", "timeout"]),
    ("instances.0.nmae", "x", ["unknown", "name"]),
    ("sources.box.key", ["x"], ["unknown", "keys"]),
    # versions and kinds
    ("version", 2, ["2", "1"]),
    ("version", "one", ["one"]),
    ("topics", [], ["map"]),
    ("instances", {}, ["list"]),
    ("topics.create", "maybe", ["maybe", "true"]),
    ("ingest.chunked", 1, ["1", "true"]),
    # numbers and their bounds
    ("topics.partitions", 0, ["0", "1..10000"]),
    ("topics.partitions", 10001, ["10001", "1..10000"]),
    ("topics.partitions", "many", ["many", "1..10000"]),
    ("topics.partitions", 1.5, ["1.5"]),
    ("topics.replication_factor", 0, ["0", "1..10"]),
    ("topics.replication_factor", 11, ["11", "1..10"]),
    ("ingest.shards", 257, ["257", "0..256"]),
    ("ingest.shards", -1, ["-1", "0..256"]),
    ("relay.shards", 257, ["257", "0..256"]),
    ("relay.inflight_max", 0, ["0", "1.."]),
    ("detach.after", 0, ["0", "1.."]),
    ("detach.blocked_max", 0, ["0", "1.."]),
    ("retry.jitter", 0.6, ["0.6", "0..0.5"]),
    ("retry.jitter", -0.1, ["-0.1", "0..0.5"]),
    (DELIVERY + "concurrency", 0, ["0", "1..1024"]),
    (DELIVERY + "concurrency", 1025, ["1025", "1..1024"]),
    (DELIVERY + "rate", -1, ["-1"]),
    (DELIVERY + "ports", [0], ["0", "1..65535"]),
    (DELIVERY + "ports", [65536], ["65536", "1..65535"]),
    (DELIVERY + "fatal_statuses", [200], ["200", "300..599"]),
    ("instances.0.id", 0, ["0", "1.."]),
    ("instances.0.id", -5, ["-5"]),
    # durations and sizes need a unit
    ("ingest.ack_timeout", 5, ["5", "unit"]),
    ("ingest.ack_timeout", "5", ["5", "unit"]),
    ("ingest.ack_timeout", "1ms", ["1ms", "100ms..1m"]),
    ("ingest.ack_timeout", "2h", ["2h", "100ms..1m"]),
    ("ingest.drain_delay", "-1s", ["-1s"]),
    ("relay.drain_timeout", "1y", ["1y", "unit"]),
    ("detach.sweep_interval", "1ms", ["1ms", "100ms"]),
    (DELIVERY + "timeout", "10m", ["10m", "100ms..5m"]),
    ("sources.box.window_past", "0s", ["0s", "1s"]),
    ("retry.delays", ["5"], ["5", "unit"]),
    ("retry.delays", [], ["1..12"]),
    ("retry.delays", ["5s"] * 13, ["1..12"]),
    ("retry.delays", ["30s", "5s"], ["ascending"]),
    ("retry.delays", "soon", ["ce", "ce-legacy"]),
    (DELIVERY + "retry_delays", [], ["1..12"]),
    (DELIVERY + "retry_delays", ["5s", "5s"], ["ascending"]),
    (DELIVERY + "retry_delays", ["11h"], ["11h", "10h", "retry.delays"]),
    (DELIVERY + "slow_start", 1000001, ["1000001", "0..1000000"]),
    ("ingest.body_max", 1048576, ["1048576", "unit"]),
    ("ingest.body_max", "1B", ["1B", "1KiB..32MiB"]),
    ("ingest.body_max", "33MiB", ["33MiB", "1KiB..32MiB"]),
    ("ingest.memory_max", "1KiB", ["1KiB", "4MiB"]),
    ("relay.memory_max", "1XB", ["1XB", "unit"]),
    ("sources.box.body_max", "1GiB", ["1GiB", "32MiB"]),
    # closed sets of words
    ("log.level", "loud", ["loud", "debug", "info", "warn", "error"]),
    ("log.format", "xml", ["xml", "auto", "json", "text"]),
    ("registry", "etcd", ["etcd", "file", "topic"]),
    (DELIVERY + "format", "soap", ["soap", "elements", "raw", "cloudevents"]),
    (DELIVERY + "signature", "md5", ["md5", "elements", "standard", "none"]),
    (DELIVERY + "ordering", "strict", ["strict", "none", "object", "instance"]),
    (DELIVERY + "exhausted", "drop", ["drop", "dead", "queue"]),
    ("relay.attempts_log", "some", ["some", "failures", "all", "none"]),
    ("sources.box.scheme", "box-v9", ["box-v9", "box-v2"]),
    # texts and their forms
    ("topics.prefix", "a b", ["a b", "letters"]),
    ("topics.prefix", "x" * 101, ["100"]),
    ("ingest.listen", ["nowhere"], ["nowhere", "127.0.0.1:8080"]),
    ("ingest.listen", ["127.0.0.1:70000"], ["127.0.0.1:70000"]),
    ("ingest.listen", [], ["1..16"]),
    ("admin.listen", "localhost", ["localhost", "127.0.0.1:8080"]),
    ("ingest.listen", ["[::FFFF:127.0.0.1]:0"], ["IPv4"]),
    ("ingest.listen", ["0.0.0.0:81", "127.0.0.1:81"], ["127.0.0.1:81", "same port", "0.0.0.0:81"]),
    ("ingest.listen", ["localhost:81", "127.0.0.1:81"], ["same port"]),
    ("ingest.listen", ["[::1]:81", "[::]:81"], ["same port"]),
    ("ingest.base_path", "elements", ["elements", "/"]),
    ("ingest.base_path", "/elements/", ["/elements/", "end with /"]),
    ("relay.group", "", ["1..200"]),
    (DELIVERY + "headers", {"Bad Name": "x"}, ["Bad Name", "header name"]),
    (DELIVERY + "headers", {"Host": "x"}, ["Host", "relay"]),
    (DELIVERY + "headers", {"X-A": "a\r\nb: c"}, ["X-A"]),
    (SUBSCRIPTION + "name", "Audit!", ["Audit!", "lower-case"]),
    # callback addresses
    (CONFIGURATION + "event.notification.callback.url", "http://example.com/", ["http"]),
    (CONFIGURATION + "event.notification.callback.url", "ftp://example.com/", ["https"]),
    (CONFIGURATION + "event.notification.callback.url", "https://", ["host"]),
    (CONFIGURATION + "event.notification.callback.url", "https://u:p@example.com/", ["user"]),
    (CONFIGURATION + "event.notification.callback.url", "https://example.com:81/", ["81"]),
    (CONFIGURATION + "event.notification.callback.url", "https://a b/", []),
    (SUBSCRIPTION + "url", "http://example.com/", ["http"]),
    # what must be there
    ("instances.0.id", None, ["id"]),
    ("instances.0.element", None, ["required"]),
    ("instances.0.element", "bax", ["bax", "box"]),
    (CONFIGURATION + "event.notification.callback.url", None, ["required"]),
    (SUBSCRIPTION + "name", None, ["required"]),
    (SUBSCRIPTION + "url", None, ["required"]),
    ("sources.box.keys", [], ["at least one"]),
    ("sources.custom", {"keys": ["a"]}, ["scheme", "required"]),
    ("sources.box.v1", {"enabled": True}, ["token", "required"]),
    ("ingest.tls", {"cert": "a.pem"}, ["ingest.tls.key", "required"]),
    ("ingest.tls", {"key": "a.pem"}, ["ingest.tls.cert", "required"]),
    ("admin.open", ["status"], ["status", "metrics"]),
    ("admin.hosts", ["relay:80"], ["relay:80", "port"]),
    ("control.enabled", True, ["organizations", "required"]),
    ("registry", "topic", ["instances", "exclude"]),
    # secrets from elsewhere
    ("sources.box.keys", [{"file": "/nonexistent/key"}], ["/nonexistent/key"]),
    ("sources.box.keys", [{"env": "NO_SUCH_VARIABLE"}], ["NO_SUCH_VARIABLE"]),
    ("sources.box.keys", [{"vault": "x"}], ["{file: path} or {env: NAME}"]),
    ("sources.box.keys", ["${NO_SUCH_VARIABLE}"], ["no variable that is set"]),
    # Kafka's own properties
    ("kafka.no.such.property", "1", ["no.such.property"]),
    ("kafka.acks", "0", ["acks"]),
    ("kafka.bootstrap.servers", "", ["bootstrap.servers"]),
    ("kafka.bootstrap.servers", "u:planted@127.0.0.1:9092", ["user name", "sasl.username"]),
    ("kafka.security.protocol", "SASL_SSL", ["kafka.sasl.mechanism: required"]),
    ("kafka.message.max.bytes", "100", ["outside allowed range 1000..1000000000  (value"]),
]


def parts_of(key: str) -> list[str]:
    """`a.0.b/c.d`: steps a, 0, b, then the key `c.d`, whose dots are its own."""
    before, slash, last = key.partition("/")
    if key.startswith("kafka."):
        return ["kafka", key.removeprefix("kafka.")]
    return before.split(".") + ([last] if slash else [])


def with_value(key: str, value: Any) -> dict:
    config = copy.deepcopy(BASE)
    here: Any = config
    *way, last = parts_of(key)
    for part in way:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    if value is None:
        del here[last]
    else:
        here[last] = value
    return config


def refused(tmp_path: Path, text: str, program: str = "eventrelay-ingest", *arguments: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    done = run(program, "-c", str(path), *arguments, seconds=20)
    told = done.stderr.decode()
    assert done.returncode == 78, f"exit {done.returncode}: {told}"
    assert "planted" not in told
    return told


def test_base_is_good(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(BASE))
    done = run("eventrelay", "check-config", "-c", str(path))
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    "key, value, holds", ROWS, ids=[f"{key}={str(value)[:24]}" for key, value, _ in ROWS]
)
def test_wrong_value(tmp_path: Path, key: str, value: Any, holds: list[str]) -> None:
    program = "eventrelay-relay" if key.startswith("relay") else "eventrelay-ingest"
    told = refused(tmp_path, json.dumps(with_value(key, value), indent=1), program)
    assert "c.yaml:" in told, f"no place: {told}"
    for word in [parts_of(key)[-1].split(".")[-1], *holds]:
        assert word in told, f"{word!r} is not in: {told}"


@pytest.mark.parametrize(
    "text, holds",
    [
        ("version: 1\ntopics: {partitions: [\n", ["c.yaml:"]),
        ("version: 1\nversion: 1\n", ["version", "doubled", "c.yaml:2:1"]),
        ("version: 1\nlog: {level: info, level: warn}\n", ["log.level", "doubled"]),
        ("- 1\n- 2\n", ["map"]),
        ("", ["c.yaml", "empty"]),
        ("# only a comment\n", ["c.yaml", "empty"]),
        ("version: 1\n---\nversion: 1\n", ["document"]),
        ("version: 1\nlog: &a {level: info}\nadmin: *a\n", ["c.yaml:"]),
        ("\x00\x01", ["c.yaml"]),
    ],
)
def test_wrong_document(tmp_path: Path, text: str, holds: list[str]) -> None:
    told = refused(tmp_path, text)
    for word in holds:
        assert word in told, f"{word!r} is not in: {told}"


def test_doubled_instances_and_names_are_told_with_both_places(tmp_path: Path) -> None:
    config = copy.deepcopy(BASE)
    config["instances"].append(copy.deepcopy(config["instances"][0]))
    config["instances"][0]["subscriptions"] *= 2
    told = refused(tmp_path, json.dumps(config))
    assert "instances[1].id" in told and "instances[0]" in told
    assert "subscriptions[1].name" in told


def test_every_finding_is_told_at_once(tmp_path: Path) -> None:
    config = copy.deepcopy(BASE)
    config["topics"]["partitions"] = 0
    config["log"] = {"level": "loud"}
    config["relay"] = {"shards": 1000}
    told = refused(tmp_path, json.dumps(config, indent=1))
    assert all(word in told for word in ("topics.partitions", "log.level", "relay.shards"))


def test_overrides_are_checked_and_named(tmp_path: Path) -> None:
    text = json.dumps(BASE)
    told = refused(tmp_path, text, "eventrelay-ingest", "--set", "topics.partitions=0")
    assert "--set" in told and "topics.partitions" in told
    told = refused(tmp_path, text, "eventrelay-ingest", "--set", "topics.partition=3")
    assert "partitions" in told
    path = tmp_path / "c.yaml"
    done = run("eventrelay-ingest", "-c", str(path), env={"EVENTRELAY__TOPICS__PARTITIONS": "0"})
    assert done.returncode == 78 and b"EVENTRELAY__TOPICS__PARTITIONS" in done.stderr


@pytest.mark.parametrize("program", ["eventrelay-ingest", "eventrelay-relay"])
def test_usage_and_missing_file(tmp_path: Path, program: str) -> None:
    assert run(program, "--no-such-flag").returncode == 2
    done = run(program, "-c", str(tmp_path / "missing.yaml"))
    assert done.returncode == 78 and b"missing.yaml" in done.stderr
    done = run(program, "--version")
    assert done.returncode == 0 and len(done.stdout.decode().splitlines()) == 1
    assert run(program, "--help").returncode == 0


def test_port_in_use_is_a_runtime_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = copy.deepcopy(BASE)
        config["admin"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        path = tmp_path / "c.yaml"
        path.write_text(json.dumps(config))
        done = run("eventrelay-relay", "-c", str(path), seconds=20)
    assert done.returncode == 1
    assert config["admin"]["listen"] in done.stderr.decode()


@pytest.mark.parametrize(
    "key, value, holds",
    [
        (DELIVERY + "signature", "standard-ed25519", ["subscription 1", "standard-ed25519"]),
        (DELIVERY + "ca_file", "/no/such/authorities.pem", ["subscription 1", "authorities.pem"]),
        (DELIVERY + "client_cert", "/no/such/client.pem", ["subscription 1", "client.pem"]),
        ("ingest.tls", {"cert": "/no/such.pem", "key": "/no/such.key"}, ["/no/such"]),
    ],
)
def test_check_config_refuses_what_a_start_refuses(
    tmp_path: Path, key: str, value: Any, holds: list[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(with_value(key, value)))
    done = run("eventrelay", "check-config", "-c", str(path))
    told = done.stderr.decode()
    assert done.returncode == 78, told
    for word in holds:
        assert word in told, told
    assert "planted" not in told


def test_check_config_refuses_a_key_of_the_wrong_form(tmp_path: Path) -> None:
    config = with_value(DELIVERY + "signature", "standard")
    config["instances"][0]["configuration"]["event.notification.signature.key"] = "whsec_planted!!"
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(config))
    done = run("eventrelay", "check-config", "-c", str(path))
    assert done.returncode == 78
    assert "base64, with or without whsec_" in done.stderr.decode()
    assert "planted" not in done.stderr.decode()


def test_check_config_tells_event_urls_and_what_looks_like_a_mistake(tmp_path: Path) -> None:
    config = copy.deepcopy(BASE)
    configuration = config["instances"][0]["configuration"]
    configuration["event.notification.signature.kye"] = configuration.pop(
        "event.notification.signature.key"
    )
    configuration["event.notification.callback.url"] = "https://127.0.0.1/x"
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(config))
    done = run("eventrelay", "check-config", "-c", str(path))
    told = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "/elements/api-v2/events/box/MQ==" in told
    assert "not signed: 1\n" in told
    assert "did you mean event.notification.signature.key?" in told
    assert "127.0.0.0/8, which is not public" in told
    assert "planted" not in told
    # Metadata addresses are refused always: what would not help is not advised.
    for host in ("169.254.169.254", "[fd20:ce::254]", "100.100.100.200"):
        configuration["event.notification.callback.url"] = f"https://{host}/x"
        for allow in (False, True):
            config["relay"] = {"allow_private_addresses": allow}
            path.write_text(json.dumps(config))
            told = run("eventrelay", "check-config", "-c", str(path)).stdout.decode()
            assert "which is never called" in told and "allow_private" not in told, told


@pytest.mark.parametrize(
    "key", ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"]
)
def test_check_config_misses_a_file_of_kafka_as_a_start_does(tmp_path: Path, key: str) -> None:
    config = copy.deepcopy(BASE)
    config["kafka"].update({"security.protocol": "ssl", key: "/no/such.pem"})
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(config))
    done = run("eventrelay", "check-config", "-c", str(path))
    assert done.returncode == 78
    assert f"kafka.{key}: cannot read /no/such.pem" in done.stderr.decode()


def test_v1_without_a_user_is_warned_about(tmp_path: Path) -> None:
    """A V1 call names users alone: where no instance has one, it belongs to nobody."""
    path = tmp_path / "c.yaml"
    config = copy.deepcopy(BASE)
    config["sources"]["box"]["v1"] = {"enabled": True, "token": "planted-token"}
    for user, warned in (("", True), ("226067247", False)):
        for instance in config["instances"]:
            instance["configuration"]["oauth.user.id"] = user
        path.write_text(json.dumps(config))
        done = run("eventrelay", "check-config", "-c", str(path))
        told = (done.stdout + done.stderr).decode()
        assert ("no instance of box has oauth.user.id" in told) == warned, told
        assert "planted" not in told
