"""Create an instance, connect Box: the control API with the stand-in and a real Kafka."""

from __future__ import annotations

import json
import re
import socket
import threading
import time

import jsonschema
import pytest
from support import box
from support.box_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    BASE,
    FOLDER,
    ORGANIZATION,
    OTHER,
    OTHER_ORGANIZATION,
    SEAL,
    USER,
    VIEWER,
    Api,
    api_of,
    connected,
    http,
)
from support.broker import free_port
from support.kafka_log import read_topic
from support.programs import run
from support.stack import KEY, Stack, signed_ok
from support.wait import hold, until

PLANTED = [CLIENT_ID, CLIENT_SECRET, USER, VIEWER, OTHER, ORGANIZATION, OTHER_ORGANIZATION, SEAL]


def test_the_tour_of_the_page(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/events"), KEY)
    assert made.status == 200, made
    instance, token = made.json["id"], made.json["token"]
    assert made.json["configuration"]["oauth.user.id"] == "226067247"
    assert made.json["configuration"]["oauth.api.secret"] == "********"

    hook = api.call(
        "POST",
        "/hubs/documents/webhooks",
        {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED", "FILE.TRASHED"]},
        token=token,
    )
    assert hook.status == 200, hook
    assert hook.headers["Elements-Element-Instance-Id"] == str(instance)

    provider.post("upload", name="a.txt", parent="1000")
    receiver.wait_for(1, 30)
    delivery = receiver.deliveries()[0]
    message = json.loads(delivery.body)["message"]
    assert signed_ok(delivery)
    assert message["instanceId"] == instance
    assert message["events"][0]["eventType"] == "CREATED"
    assert message["raw"]["source"]["name"] == "a.txt"
    until(lambda: provider.state()["delivered"] == 1, 10, "Box has its 2xx")

    assert relay.end()[0] == 0 and ingest.end()[0] == 0
    for program in tour.programs:
        for secret in [*PLANTED, token]:
            assert secret not in program.log(), f"{program.name} told a secret"


# -- every answer is one of openapi.json --


# Paths whose answers the table of authorizations checks.
OTHERS = re.compile("/(accounts|notifications|event-poller-records|subscriptions)(/|$)")


def made_again(api: Api, own: str) -> str:
    return api.call("POST", own + "/token").json["token"]


def test_answers_fit_the_openapi_document(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    for name in api.openapi.document["components"]["schemas"]:
        jsonschema.Draft202012Validator.check_schema(api.openapi.schema(name))
    made = api.create(provider, receiver.url("/e"), KEY)
    instance, token = made.json["id"], made.json["token"]
    own = f"/instances/{instance}"
    folder = {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}
    hook = api.call("POST", "/webhooks", folder, token).json["id"]
    value = {"propertyValue": "x"}
    for number in range(3):
        provider.post("upload", name=f"{number}.txt", parent="1000")
    until(lambda: len(api.call("GET", own + "/events").json) == 3, 20, "three events are told")
    event = api.call("GET", own + "/events").json[0]["id"]
    replay = {"from": "2026-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "source": "events"}
    dry = api.call("POST", own + "/events/replay", {**replay, "dryRun": True}).json["id"]
    oauth = "/elements/box/oauth/url"
    # Method, path, body, by the instance's token; every operation of the document at least once.
    calls = [
        ("GET", "/elements", None, False),
        ("GET", "/elements/22", None, False),
        ("GET", "/elements/nothing", None, False),
        ("GET", "/elements/box/metadata", None, False),
        ("GET", oauth + "?apiKey=k&callbackUrl=https://a.example/x&state=s", None, False),
        ("GET", oauth, None, False),
        ("POST", "/elements/github/instances", {"name": "g"}, False),
        ("POST", "/instances", {"name": "g"}, False),
        ("GET", "/instances?tags[]=Docs", None, False),
        ("GET", own, None, False),
        ("GET", "/instances/999999", None, False),
        ("PATCH", own, {"tags": ["a"]}, False),
        ("PUT", own, {"name": "other"}, False),
        ("PATCH", own, {"frob": 1}, False),
        ("GET", own + "/configuration", None, False),
        ("GET", own + "/configuration/oauth.user.id", None, False),
        ("PATCH", own + "/configuration/events.list.ids", value, False),
        ("GET", own + "/setup", None, False),
        ("GET", own + "/events?pageSize=1", None, False),
        ("GET", own + "/events?pageSize=0", None, False),
        ("GET", own + "/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", None, False),
        ("GET", own + "/events?from=yesterday", None, False),
        ("GET", own + "/events?nextPage=x", None, False),
        ("GET", "/instances/999999/events", None, False),
        ("GET", f"{own}/events/{event}", None, False),
        ("GET", own + "/events/none", None, False),
        ("GET", "/instances/events", None, False),
        ("GET", "/instances/events", None, True),
        ("GET", "/instances/events/dispositions", None, False),
        ("GET", "/instances/events/dispositions?pageSize=1", None, False),
        ("GET", "/instances/events/analytics", None, False),
        ("GET", "/instances/events/analytics?interval=week", None, False),
        ("GET", "/instances/events/analytics/instances?interval=minute", None, False),
        ("GET", "/instances/events/analytics/accounts?accountIds[]=20", None, False),
        ("GET", "/instances/events/analytics/accounts", None, False),
        ("POST", own + "/events/replay", replay, False),
        ("POST", own + "/events/replay", {**replay, "source": "x"}, False),
        ("POST", own + "/events/replay", {**replay, "rate": 0}, False),
        ("GET", f"{own}/events/replay/{dry}", None, False),
        ("GET", f"{own}/events/replay/none", None, False),
        ("DELETE", f"{own}/events/replay/{dry}", None, False),
        ("PUT", own + "/enabled", None, False),
        ("DELETE", own + "/enabled", None, False),
        ("PUT", "/instances/enabled", None, True),
        ("DELETE", "/instances/enabled", None, True),
        ("PUT", "/instances/enabled", None, True),
        ("PATCH", "/instances", {"tags": "one"}, True),
        ("PUT", "/instances", {"name": "other"}, True),
        ("GET", "/instances/configuration", None, True),
        ("GET", "/instances/configuration/1", None, True),
        ("PATCH", "/instances/configuration/events.list.ids", value, True),
    ]
    file = {"target": {"id": "2000", "type": "file"}, "triggers": ["FILE.TRASHED"]}
    other_folder = {**folder, "target": {"id": "1001", "type": "folder"}}
    for base, new in (("/webhooks", other_folder), ("/hubs/documents/webhooks", file)):
        calls += [
            ("GET", base, None, True),
            ("POST", base, new, True),
            ("POST", base, {"target": {"id": "1000"}}, True),
            ("GET", f"{base}/{hook}", None, True),
            ("PUT", f"{base}/{hook}", {"triggers": ["FILE.TRASHED"]}, True),
            ("GET", f"{base}/404404", None, True),
            ("DELETE", f"{base}/404404", None, True),
        ]
    calls += [
        ("DELETE", f"/webhooks/{hook}", None, True),
        ("DELETE", own, None, False),
        ("GET", "/nothing", None, False),
        ("DELETE", "/elements", None, False),
    ]
    for method, path, body, element in calls:
        if path == own and method == "DELETE":
            left = provider.state()["webhooks"][0]["id"]
            hub = f"/hubs/documents/webhooks/{left}"
            token = made_again(api, own)
            assert api.call("DELETE", hub, token=token).json == {}
        answer = api.call(method, path, body, token if element else None)  # checks the answer
        assert answer.status not in (401, 500), (method, path, answer)
    again = api.create(provider, receiver.url("/e"), KEY)
    assert api.call("DELETE", "/instances", token=again.json["token"]).json == {}
    # Every operation has been seen, also where it went well.
    done = {(method, path) for method, path, status in api.openapi.checked if status == 200}
    all_of_them = {
        (method.upper(), path)
        for path, item in api.openapi.document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    missing = {(method, path) for method, path in all_of_them - done if not OTHERS.search(path)}
    assert missing == set()


# -- tokens at the provider --


def calls_at_once(port: int, token: str, connections: int, each: int) -> list[int]:
    """Statuses of calls that are all sent before the first answer is read: the listener takes 64
    connections, so each carries some of them."""
    request = (
        f"GET {BASE}/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: User {USER}, Element {token}\r\n\r\n"
    ).encode()
    peers = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(connections)]
    for peer in peers:
        peer.sendall(request * each)
    statuses = []
    for peer in peers:
        with peer, peer.makefile("rb") as answers:
            for _ in range(each):
                statuses.append(int(answers.readline().split()[1]))
                length = 0
                while (line := answers.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                assert len(answers.read(length)) == length
    return statuses


def test_many_calls_with_an_expired_token_refresh_once(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    token = made.json["token"]
    for turn in range(1, 4):
        provider.post("expire")
        statuses = calls_at_once(ingest.admin, token, 50, 4)
        assert statuses == [200] * 200
        assert provider.state()["refreshes"] == turn
        assert ingest.metric('eventrelay_provider_token_refreshes_total{outcome="ok"}') == turn


def test_a_withdrawn_grant_ends_calls_but_not_the_instance(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    instance, token = made.json["id"], made.json["token"]
    provider.post("withdraw")
    refused = api.call("GET", "/webhooks", token=token)
    assert refused.status == 403, refused
    shown = api.call("GET", f"/instances/{instance}").json
    assert shown["valid"] is False and shown["problem"]
    requests = provider.state()["requests"]
    assert api.call("GET", "/webhooks", token=token).status == 403
    assert provider.state()["requests"] <= requests + 1, "no further tries"
    again = api.call("PATCH", f"/instances/{instance}", {"providerData": {"code": provider.code()}})
    assert again.status == 200 and again.json["valid"] is True, again
    assert api.call("GET", "/webhooks", token=token).status == 200


def test_what_the_provider_does_wrong_is_told_in_time(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)

    def create():
        return api.create(provider, receiver.url("/e"), KEY)

    for fault, status in [
        ({"status": 500}, 502),
        ({"status": 302}, 502),
        ({"status": 200, "body": "<html>"}, 502),
        ({"status": 200, "body": ""}, 502),
        ({"status": 200, "body_bytes": 3_000_000}, 502),
        ({"status": 0}, 502),
        ({"status": 200, "delay_ms": 5000}, 504),
        ({"status": 429, "retry_after": "7"}, 429),
        ({"status": 400, "body": '{"error":"invalid_grant","error_description":"words"}'}, 400),
        ({"status": 403}, 403),
    ]:
        provider.fault("/oauth2/token", **fault)
        answer = create()
        assert answer.status == status, (fault, answer)
        if status == 429:
            assert answer.headers["Retry-After"] == "7"
        if status == 400:
            assert answer.json["providerMessage"] == "words"
            assert answer.json["message"].startswith("providerData.code")
    # The tokens were given, then whose they are could not be asked: they are given back.
    provider.fault("/2.0/users/me", 500)
    assert create().status == 502
    assert provider.state()["refresh_tokens"] == 0
    assert api.call("GET", "/instances").json == []
    wrong = create()
    assert wrong.status == 200


def test_webhook_answers_follow_the_provider(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    instance, token = made.json["id"], made.json["token"]

    def post(target="1000", kind="folder", triggers=("FILE.UPLOADED",), **more):
        body = {"target": {"id": target, "type": kind}, "triggers": list(triggers), **more}
        return api.call("POST", "/webhooks", body, token)

    hook = post()
    assert hook.status == 200 and hook.json["address"] == made.json["webhookUrl"], hook
    number = hook.json["id"]
    twice = post()
    assert twice.status == 409 and "already exists" in twice.json["providerMessage"], twice
    assert post("404404").status == 404
    assert post("0").status == 400
    assert post("1001", triggers=["NO.SUCH"]).status == 400
    assert post("2000", "file", ["FILE.UPLOADED"]).status == 400
    assert post("1001", address="http://hooks.example.com/").status == 400
    changed = api.call("PUT", f"/webhooks/{number}", {"triggers": ["FILE.TRASHED"]}, token)
    assert changed.status == 200 and changed.json["triggers"] == ["FILE.TRASHED"]
    shown = api.call("GET", f"/instances/{instance}").json["webhooks"]
    assert [(w["id"], w["triggers"], w["state"]) for w in shown] == [
        (number, ["FILE.TRASHED"], "active")
    ]
    provider.post("drop", webhook=number)
    assert api.call("GET", f"/webhooks/{number}", token=token).status == 404
    shown = api.call("GET", f"/instances/{instance}").json["webhooks"]
    assert shown[0]["state"] == "deleted"
    assert api.call("GET", "/webhooks/abc", token=token).status == 404
    gone = post("1001")
    assert api.call("DELETE", f"/webhooks/{gone.json['id']}", token=token).json == {}
    assert provider.state()["webhooks"] == []


def test_deleting_an_instance_cleans_up_behind_it(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    instance, token = made.json["id"], made.json["token"]
    hook = api.call(
        "POST",
        "/webhooks",
        {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED"]},
        token,
    )
    assert hook.status == 200, hook
    provider.fault("DELETE /2.0/webhooks", 500)  # the first try fails
    assert api.call("DELETE", f"/instances/{instance}").json == {}
    assert api.call("GET", f"/instances/{instance}").status == 404
    assert api.call("GET", "/webhooks", token=token).status == 401
    event = http("POST", made.json["webhookUrl"], {"x": 1})
    assert event.status == 404, event
    until(lambda: provider.state()["webhooks"] == [], 40, "the webhook is gone at Box")
    until(lambda: provider.state()["refresh_tokens"] == 0, 40, "the tokens are given back")
    again = api.create(provider, receiver.url("/e"), KEY)
    assert again.json["id"] > instance, "ids are never given twice"
    assert relay.end()[0] == 0 and ingest.end()[0] == 0


# -- the registry in Kafka --


def test_nothing_secret_is_readable_in_the_topic(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    planted = {
        "event.vendor.signature.key": "planted-vendor-key",
        "event.vendor.token": "planted-vendor-token",
        "my.password": "planted-password",
    }
    made = api.create(
        provider,
        receiver.url("/e"),
        KEY,
        configuration=planted,
        delivery={"headers": {"X-Any": "planted-header"}, "keys": ["planted-old-key"]},
        subscriptions=[{"name": "a", "url": receiver.url("/a"), "key": "planted-subscription"}],
    )
    assert made.status == 200, made
    secrets = [*PLANTED, KEY, *planted.values(), made.json["token"]]
    secrets += ["planted-header", "planted-old-key", "planted-subscription", "access-", "refresh-"]
    shown = api.call("GET", f"/instances/{made.json['id']}").raw.decode()
    metrics, status = ingest.get("/metrics")[1], ingest.get("/api/v1/status")[1]
    topic = b"".join(
        (record.key or b"") + (record.value or b"")
        for record in read_topic(tour.broker.bootstrap, tour.prefix + "instances")
    ).decode()
    assert f'"instance"' in topic
    for secret in secrets:
        for name, text in {
            "topic": topic,
            "answer": shown,
            "metrics": metrics,
            "status": status,
        }.items():
            assert secret not in text, f"{secret} in {name}"
        assert secret not in ingest.log(), f"{secret} in the log"


def test_a_change_reaches_every_replica_and_survives_a_restart(
    tour: Stack, provider, receiver, report
) -> None:
    ingest, second = tour.ingest(), None
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    instance = made.json["id"]
    port = free_port()
    second = tour.ingest(
        "--set", "control.enabled=false", "--set", f"ingest.listen=127.0.0.1:{port}",
        ready=True,
    )
    target = made.json["webhookUrl"].split("/elements", 1)[1]
    url = f"http://127.0.0.1:{port}/elements{target}"
    assert http("POST", url, {"x": 1}).status == 401  # known, not signed
    begin = time.monotonic()
    assert api.call("DELETE", f"/instances/{instance}").status == 200
    until(lambda: http("POST", url, {"x": 1}).status == 404, 5, "gone at the other replica")
    passed = 1000 * (time.monotonic() - begin)
    report(f"in force at the other replica {passed:.0f} ms after the call began")
    kept = api.create(provider, receiver.url("/e"), KEY).json["id"]
    assert kept == instance + 1
    assert ingest.end()[0] == 0
    again = api_of(tour.ingest())
    assert again.call("GET", f"/instances/{kept}").json["name"] == "box instance"
    assert again.create(provider, receiver.url("/e"), KEY).json["id"] == kept + 1


def test_a_second_control_process_takes_the_role_over(tour: Stack, provider, receiver) -> None:
    first = tour.ingest()
    api = api_of(first)
    made = api.create(provider, receiver.url("/e"), KEY).json["id"]
    second = tour.ingest("--set", f"ingest.listen=127.0.0.1:{free_port()}")
    api_second = api_of(second)
    until(
        lambda: api.call("PATCH", f"/instances/{made}", {"name": "x"}).status == 503,
        10,
        "the first answers 503",
    )
    assert api.call("GET", f"/instances/{made}").status == 200, "and keeps reading"
    assert api_second.call("PATCH", f"/instances/{made}", {"name": "second"}).status == 200
    until(
        lambda: api.call("GET", f"/instances/{made}").json["name"] == "second", 5, "it follows"
    )
    assert second.end()[0] == 0  # gives the role back
    until(
        lambda: api.call("PATCH", f"/instances/{made}", {"name": "first"}).status == 200,
        20,
        "the first has the role again",
    )


def test_cli_lists_exports_imports_and_reseals(tour: Stack, provider, receiver, tmp_path) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY).json["id"]
    path = str(tour.write())

    def registry(*arguments: str) -> str:
        done = run("eventrelay", "registry", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    listed = json.loads(registry("list", "-c", path, "--json"))
    rows = [(row["id"], row["element"], row["masterKey"]) for row in listed]
    assert rows == [(made, "box", "k1")]
    assert KEY not in registry("export", "-c", path)
    exported = registry("export", "-c", path, "--secrets")
    assert KEY in exported
    file = tmp_path / "instances.yaml"
    file.write_text(exported)
    assert registry("import", "-c", path, str(file)).startswith("0 added, 0 changed, 1 unchanged")
    file.write_text(exported.replace("box instance", "renamed"))
    assert "1 changed" in registry("import", "-c", path, str(file), "--dry-run")
    assert api.call("GET", f"/instances/{made}").json["name"] == "box instance"
    assert "1 changed" in registry("import", "-c", path, str(file))
    until(lambda: api.call("GET", f"/instances/{made}").json["name"] == "renamed", 5, "imported")
    until(
        lambda: api.call("PATCH", f"/instances/{made}", {"name": "again"}).status == 200,
        20,
        "the role is with the process again",
    )
    file.write_text(exported.replace("element: box", "element: bx"))
    wrong = run("eventrelay", "registry", "import", "-c", path, str(file))
    assert wrong.returncode == 78 and str(file) in wrong.stderr.decode(), wrong.stderr

    # A new master key in front, resealed, the old one out; live all the time.
    new = run("eventrelay", "keygen", "seal").stdout.decode().strip()
    tour.config["seal"]["keys"].insert(0, {"id": "k2", "key": new})
    path = str(tour.write())
    assert ingest.get("/-/reload", "POST")[0] == 200
    assert registry("reseal", "-c", path).startswith("1 resealed under k2")
    del tour.config["seal"]["keys"][1]
    path = str(tour.write())
    until(lambda: ingest.get("/-/reload", "POST")[0] == 200, 5, "reloaded")
    assert json.loads(registry("list", "-c", path, "--json"))[0]["masterKey"] == "k2"
    assert api.call("GET", f"/instances/{made}").status == 200
    change = {"name": "last"}
    until(lambda: api.call("PATCH", f"/instances/{made}", change).status == 200, 20, "writes")


def test_v1_by_the_values_of_setup(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY).json
    setup = api.call("GET", f"/instances/{made['id']}/setup").json["v1"]
    values = {each["name"]: each["value"] for each in setup["callbackParameters"]}
    assert values["userId"] == "#to_user_ids#" and setup["payloadFormat"] == "REST"
    provider.post("v1", url=setup["url"], token=values["token"])
    provider.post("upload", name="v1.txt")
    receiver.wait_for(1, 30)
    message = json.loads(receiver.deliveries()[0].body)["message"]
    assert signed_ok(receiver.deliveries()[0])
    assert message["instanceId"] == made["id"] and message["events"][0]["eventType"] == "CREATED"
    provider.post("v1", url=setup["url"], token="wrong-token-of-16-bytes")
    failed = provider.state()["failed"]
    provider.post("upload", name="v1.txt")
    until(lambda: provider.state()["failed"] == failed + 1, 10, "another token is refused")
    assert relay.end()[0] == 0 and ingest.end()[0] == 0


def test_two_tenants_have_keys_of_their_own(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    own = api.create(
        provider,
        receiver.url("/a"),
        KEY,
        configuration={"event.vendor.signature.key": "tenant-key-of-its-own"},
    ).json["id"]
    shared = api.create(provider, receiver.url("/b"), KEY).json["id"]

    def send(instance: int, primary: str) -> int:
        done = run(
            "eventrelay", "send", "box-v2", "--key", primary, "--url",
            f"http://127.0.0.1:{ingest.port}{BASE}/events/box/{instance}",
        )
        return 202 if done.returncode == 0 else 401

    assert send(shared, box.PRIMARY) == 202
    assert send(shared, "tenant-key-of-its-own") == 401
    assert send(own, "tenant-key-of-its-own") == 202
    assert send(own, box.PRIMARY) == 401


@pytest.mark.parametrize("point", ["after-webhook-made", "before-registry-write"])
def test_a_kill_leaves_no_webhook_without_owner(tour: Stack, provider, receiver, point) -> None:
    ingest, api, made = connected(tour, provider, receiver)
    assert ingest.end()[0] == 0
    # The intent is the first write of the call, the document the second.
    nth = {"after-webhook-made": 1, "before-registry-write": 2}[point]
    ingest = tour.ingest(env={"EVENTRELAY_FAILPOINT": f"{point}:{nth}:kill"})
    api = api_of(ingest)
    body = {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}
    with pytest.raises(OSError):
        api.call("POST", "/webhooks", body, made["token"])
    assert len(provider.state()["webhooks"]) == 1
    again = api_of(tour.ingest())
    until(lambda: provider.state()["webhooks"] == [], 40, "the webhook without owner is gone")
    assert again.call("GET", f"/instances/{made['id']}").json["webhooks"] == []
    assert again.call("POST", "/webhooks", body, made["token"]).status == 200


def killed_before_its_webhook_is_kept(tour: Stack, ingest, token: str, body: dict) -> Api:
    """A call whose webhook is made at Box, and a process that dies then; the next one's API."""
    assert ingest.end()[0] == 0
    ingest = tour.ingest(env={"EVENTRELAY_FAILPOINT": "after-webhook-made:1:kill"})
    with pytest.raises(OSError):
        api_of(ingest).call("POST", "/webhooks", body, token)
    return api_of(tour.ingest())


def test_a_webhook_without_owner_is_told_from_those_of_other_instances(
    tour: Stack, provider, receiver, tmp_path
) -> None:
    """The coded id of instance 1, MQ==, is the end of that of instance 1231, MTIzMQ==."""
    ingest = tour.ingest()
    api = api_of(ingest)
    first = api.create(provider, receiver.url("/e"), KEY).json
    assert first["id"] == 1
    file = tmp_path / "instances.yaml"
    file.write_text("instances: [{id: 1230, name: high, element: github}]")
    done = run("eventrelay", "registry", "import", "-c", str(tour.write()), str(file))
    assert done.returncode == 0, done.stderr
    until(lambda: api.call("PATCH", "/instances/1", {}).status == 200, 20, "the role is back")
    second = api.create(provider, receiver.url("/e"), KEY).json
    assert second["webhookUrl"].endswith(first["webhookUrl"].rsplit("/", 1)[1])
    other = {"target": {"id": "1001", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}
    kept = api.call("POST", "/webhooks", other, second["token"]).json["id"]
    again = killed_before_its_webhook_is_kept(tour, ingest, first["token"], FOLDER)
    assert len(provider.state()["webhooks"]) == 2

    def left() -> list[str]:
        return [each["id"] for each in provider.state()["webhooks"]]

    until(lambda: left() == [kept], 40, "only the one without owner is gone")
    hold(2, lambda: left() == [kept], "and the other one stays")
    assert again.call("GET", f"/webhooks/{kept}", token=second["token"]).status == 200


@pytest.mark.parametrize("address", [None, "https://elsewhere.example.com/hook"])
def test_a_deleted_instance_takes_the_webhook_of_a_broken_off_call_with_it(
    tour: Stack, provider, receiver, address
) -> None:
    ingest = tour.ingest()
    made = api_of(ingest).create(provider, receiver.url("/e"), KEY).json
    body = FOLDER if address is None else {**FOLDER, "address": address}
    again = killed_before_its_webhook_is_kept(tour, ingest, made["token"], body)
    assert again.call("DELETE", f"/instances/{made['id']}").json == {}
    assert len(provider.state()["webhooks"]) == 1
    until(lambda: provider.state()["webhooks"] == [], 60, "the webhook without owner is gone")
    until(lambda: provider.state()["refresh_tokens"] == 0, 40, "then the tokens are given back")


def test_a_late_refresh_does_not_take_the_place_of_a_new_grant(
    tour: Stack, provider, receiver
) -> None:
    """The user authorizes again, as somebody else, while Box still answers to the former grant."""
    _, api, made = connected(tour, provider, receiver)
    own, token = f"/instances/{made['id']}", made["token"]
    code = provider.code("226067248")
    provider.post("expire")
    provider.fault("/oauth2/token", late=True, delay_ms=1200)
    waiting = threading.Thread(target=lambda: api.call("GET", "/webhooks", token=token))
    waiting.start()
    until(lambda: provider.state()["refreshes"] == 1, 10, "the refresh is at Box")
    changed = api.call("PATCH", own, {"providerData": {"code": code}})
    assert changed.status == 200, changed
    waiting.join()
    assert api.call("GET", "/webhooks", token=token).status == 200
    # What is called is the new user's: its folder takes a webhook of its own.
    hook = api.call("POST", "/webhooks", FOLDER, token)
    assert hook.status == 200, hook
    (there,) = provider.state()["webhooks"]
    assert there["created_by"]["id"] == "226067248", there


def test_a_kill_between_refresh_and_kafka_is_told(tour: Stack, provider, receiver) -> None:
    ingest, api, made = connected(tour, provider, receiver)
    assert ingest.end()[0] == 0
    ingest = tour.ingest(env={"EVENTRELAY_FAILPOINT": "after-refresh:1:kill"})
    api = api_of(ingest)
    provider.post("expire")
    with pytest.raises(OSError):
        api.call("GET", "/webhooks", token=made["token"])
    again = api_of(tour.ingest())
    assert again.call("GET", "/webhooks", token=made["token"]).status == 403
    shown = again.call("GET", f"/instances/{made['id']}").json
    assert shown["valid"] is False and "authorize again" in shown["problem"]


def test_what_box_tells_of_a_webhook_is_delivered_and_kept(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY).json
    hooks = [
        api.call(
            "POST",
            "/webhooks",
            {"target": {"id": target, "type": "folder"}, "triggers": ["FILE.UPLOADED"]},
            made["token"],
        ).json["id"]
        for target in ("1000", "1001")
    ]
    provider.post("session", webhook=hooks[0])
    provider.post("forget", webhook=hooks[1])

    def states() -> dict:
        shown = api.call("GET", f"/instances/{made['id']}").json["webhooks"]
        return {each["id"]: each["state"] for each in shown}

    until(lambda: states() == {hooks[0]: "no_session", hooks[1]: "deleted"}, 20, "states change")
    receiver.wait_for(2, 20)
    bodies = [json.loads(each.body)["message"] for each in receiver.deliveries()]
    triggers = {message["raw"]["trigger"] for message in bodies}
    assert triggers == {"NO_ACTIVE_SESSION", "WEBHOOK.DELETED"}
    message = json.loads(receiver.deliveries()[0].body)["message"]
    assert (message["accountId"], message["companyId"], message["userId"]) == (10, 1, 100)
    assert relay.end()[0] == 0 and ingest.end()[0] == 0


def test_a_disabled_instance_keeps_its_events_waiting(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY).json
    hook = api.call(
        "POST",
        "/webhooks",
        {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED"]},
        made["token"],
    )
    assert hook.status == 200, hook
    assert api.call("DELETE", f"/instances/{made['id']}/enabled").json == {}
    until(
        lambda: relay.metric("eventrelay_relay_switched_off_subscriptions") == 1, 20, "it is off"
    )
    assert api.call("GET", "/webhooks", token=made["token"]).status == 403
    provider.post("upload", name="waits.txt")
    until(lambda: provider.state()["delivered"] == 1, 10, "the webhook is taken")
    hold(2, lambda: receiver.deliveries() == [], "nothing is delivered")
    assert api.call("PUT", "/instances/enabled", token=made["token"]).json == {}
    receiver.wait_for(1, 30)
    assert relay.end()[0] == 0 and ingest.end()[0] == 0


def test_guessing_is_slowed_down(tour: Stack, provider, receiver) -> None:
    tour.config["control"]["auth_failures_per_minute"] = 5
    ingest = tour.ingest()
    api = api_of(ingest)
    wrong = Api(ingest.admin, "wrong-user-secret")
    answers = [wrong.call("GET", "/instances") for _ in range(7)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert api.call("GET", "/instances").status == 429, "the address waits, whoever it says it is"
