"""Events all the way: HTTP in, Kafka, signed HTTP out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs

import pytest
from support import box
from support.kafka_log import topics
from support.load import Load
from support.receiver import Rule
from support.stack import (
    INSTANCE,
    KEY,
    V1_TOKEN,
    Stack,
    assert_accepted_once,
    feed,
    judge,
    signed_ok,
)
from support.wait import hold, until

COUNT = 20_000
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.smoke
def test_every_event_arrives_once_signed_and_unchanged(stack: Stack, receiver, report) -> None:
    stack.add_instance(receiver, concurrency=64)
    ingest, relay = stack.ingest(), stack.relay()
    bodies, load = feed(ingest.port, COUNT, connections=64)
    load.finish(120)
    assert load.statuses() == {202: COUNT}
    receiver.wait_for(COUNT, 120)
    stack.wait_committed()
    verdict = judge(receiver.deliveries(), bodies)
    report(f"{COUNT} events in {load.seconds:.1f} s, {verdict}")
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert_accepted_once(stack.records(), load.requests, load.answers)
    assert ingest.metric('eventrelay_ingest_requests_total{code="202"}') == COUNT
    assert relay.metric('eventrelay_relay_deliveries_total{outcome="ok"}') == COUNT
    assert relay.end()[0] == 0 and ingest.end()[0] == 0


@pytest.mark.smoke
def test_record_carries_the_headers_and_the_bytes(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    bodies = [
        box.body(1, "FILE.UPLOADED"),
        box.body(2, "FOLDER.RENAMED"),
        box.body(3, "FILE.TRASHED"),
        box.body(4, "FILE.PREVIEWED"),
    ]
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    requests = [box.v2_request(INSTANCE, raw) for raw in bodies]
    requests[0] = requests[0].replace(b"\r\n\r\n", f"\r\ntraceparent: {parent}\r\n\r\n".encode(), 1)
    load = Load(ingest.port, requests, connections=1)
    load.start()
    load.finish(20)
    assert load.statuses() == {202: 4}
    records = {record.value: record for record in stack.records()}
    assert set(records) == set(bodies)
    wanted = {0: ("CREATED", "file"), 1: ("UPDATED", "folder"), 2: ("DELETED", "file")}
    wanted[3] = ("UNKNOWN", "file")
    answered = {a.index: json.loads(a.body)["eventIds"] for a in load.answers}
    for number, raw in enumerate(bodies):
        record, event = records[raw], json.loads(raw)
        found = record.headers
        assert record.key == str(INSTANCE).encode()
        assert found["er-v"] == "1"
        assert [found["er-id"]] == answered[number]
        assert found["er-provider-id"] == event["id"]
        assert found["er-element"] == "box"
        assert found["er-instance"] == str(INSTANCE)
        assert (found["er-event-type"], found["er-object-type"]) == wanted[number]
        assert found["er-object-id"] == event["source"]["id"]
        assert found["er-date"] == "2026-03-01T17:10:32Z"
        assert re.fullmatch(r"1[0-9]{12}", found["er-received"])
        assert found["er-content-type"] == "application/json; charset=utf-8"
        assert TRACEPARENT.fullmatch(found["traceparent"])
        assert len(record.header_names) == len(set(record.header_names))


def test_providers_retry_keeps_its_event_id(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    raw = box.body(7)
    # Box signs each try anew, with another delivery id and time.
    requests = [box.v2_request(INSTANCE, raw, box.stamp(-5)), box.v2_request(INSTANCE, raw)]
    requests.append(box.v2_request(INSTANCE, box.body(8)))
    load = Load(ingest.port, requests, connections=1)
    load.start()
    load.finish(20)
    first, again, other = (json.loads(a.body)["eventIds"] for a in load.answers)
    assert first == again != other


def test_v1_event_reaches_every_instance_of_its_users(stack: Stack, receiver) -> None:
    users = ["226067247", "226067248", "999"]
    for number, user in enumerate(users[:2] + ["226067250"], 100):
        stack.add_instance(receiver, number, f"/cb/{number}", user=user)
    ingest = stack.ingest()
    stack.relay()
    form = box.v1_request(users, "5000", V1_TOKEN)
    query = box.v1_form(users, "5001", V1_TOKEN).decode().replace("[", "%5B").replace("]", "%5D")
    query = query.replace('"', "%22").replace(" ", "%20")
    get = box.http("GET", f"{box.BASE}/events/box?{query}", [])
    load = Load(ingest.port, [form, get], connections=1)
    load.start()
    load.finish(20)
    assert load.statuses() == {202: 2}
    assert [len(json.loads(a.body)["eventIds"]) for a in load.answers] == [2, 2]
    receiver.wait_for(4, 20)
    stack.wait_committed()
    for number in (100, 101):
        deliveries = receiver.deliveries(f"/cb/{number}")
        assert len(deliveries) == 2 and all(signed_ok(delivery) for delivery in deliveries)
        for delivery in deliveries:
            message = json.loads(delivery.body)["message"]
            assert message["instanceId"] == number
            assert [e["eventType"] for e in message["events"]] == ["CREATED"]
            assert message["events"][0]["objectType"] == "file"
            assert message["events"][0]["objectId"] in ("5000", "5001")
    assert receiver.count("/cb/102") == 0
    posted = next(r for r in stack.records() if b"5000" in r.value)
    assert parse_qs(posted.value.decode())["itemId"] == ["5000"]


def test_notification_has_the_documented_shape(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    stack.relay()
    bodies, load = feed(ingest.port, 1, connections=1)
    load.finish(20)
    receiver.wait_for(1, 20)
    (delivery,) = receiver.deliveries()
    assert delivery.head.startswith(b"POST /cb HTTP/1.1")
    assert delivery.headers["content-type"].startswith("application/json")
    assert re.fullmatch(r"eventrelay/\d+\.\d+\.\d+", delivery.headers["user-agent"])
    assert "eventrelay-attempt" not in delivery.headers
    assert TRACEPARENT.fullmatch(delivery.headers["traceparent"])
    notification = json.loads(delivery.body)
    assert notification["topic"] == f"instance-{INSTANCE}-box-events"
    message = notification["message"]
    assert message["raw"] == json.loads(bodies[0])
    assert (message["elementKey"], message["instanceId"]) == ("box", INSTANCE)
    assert message["instanceName"] == f"instance-{INSTANCE}"
    (event,) = message["events"]
    assert event == {
        "objectId": json.loads(bodies[0])["source"]["id"],
        "objectType": "file",
        "eventType": "CREATED",
        "elementKey": "box",
        "hubKey": "documents",
        "date": "2026-03-01T17:10:32Z",
    }


def test_subscriptions_get_their_own_format_signature_and_filter(stack: Stack, receiver) -> None:
    entry = stack.add_instance(receiver)
    secret = base64.b64encode(b"standard-secret-of-24-by").decode()
    entry["subscriptions"] = [
        {
            "name": "audit",
            "url": receiver.url("/audit"),
            "key": "whsec_" + secret,
            "filter": {"event_types": ["DELETED"]},
            "delivery": stack.local(
                receiver, format="raw", signature="standard", headers={"X-Team": "audit"}
            ),
        }
    ]
    ingest = stack.ingest()
    stack.relay()
    deleted, created = box.body(1, "FILE.TRASHED"), box.body(2)
    load = Load(ingest.port, [box.v2_request(INSTANCE, r) for r in (deleted, created)], 1)
    load.start()
    load.finish(20)
    receiver.wait_for(3, 20)
    stack.wait_committed()
    (audit,) = receiver.deliveries("/audit")
    assert audit.body == deleted
    assert audit.headers["x-team"] == "audit"
    signed = f"{audit.headers['webhook-id']}.{audit.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(base64.b64decode(secret), signed + deleted, hashlib.sha256).digest()
    assert audit.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert judge(receiver.deliveries("/cb"), [deleted, created]).wrong == []
    assert secret not in (stack.programs[0].log() + stack.programs[1].log())


def test_a_genuine_call_that_belongs_to_nobody_is_counted_and_told_of(
    stack: Stack, receiver
) -> None:
    """The provider is told 200, so without a line nobody would ever look for these events."""
    stack.add_instance(receiver)  # it names no user
    stack.config["instances"][0]["configuration"]["event.notification.enabled"] = False
    ingest = stack.ingest()
    (warning,) = [line for line in ingest.lines() if "V1 call" in line["msg"]]
    assert "oauth.user.id" in warning["msg"] and warning["level"] == "warn"
    misnamed = box.v1_form(["226067247"], "5000", V1_TOKEN).replace(b"userId=", b"to_user_ids=")
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    calls = {
        "no_user": box.v1_request(["226067247"], "5000", V1_TOKEN),
        "no_user_parameter": box.http("POST", f"{box.BASE}/events/box", form, misnamed),
        "disabled": box.v2_request(INSTANCE, box.body(1)),
    }
    for raw in calls.values():
        load = Load(ingest.port, [raw] * 20, connections=1)
        load.start()
        load.finish(20)
        assert load.statuses() == {200: 20}, load.answers[0]
    for reason in calls:
        name = f'eventrelay_ingest_not_stored_total{{reason="{reason}"}}'
        assert ingest.metric(name) == 20, reason
    lines = ingest.said("a genuine call had nothing to store")
    assert len(lines) == len(calls), lines
    assert all(line["source"] == "box" and line["reason"] for line in lines)
    assert len([line for line in lines if line["level"] == "warn"]) == 1
    assert stack.records() == []


def test_instance_without_events_is_answered_and_not_stored(stack: Stack, receiver) -> None:
    entry = stack.add_instance(receiver)
    entry["configuration"]["event.notification.enabled"] = False
    ingest = stack.ingest()
    _, load = feed(ingest.port, 1, connections=1)
    load.finish(20)
    (answer,) = load.answers
    assert answer.status == 200
    assert json.loads(answer.body)["eventIds"] == [] and json.loads(answer.body)["reason"]
    assert stack.records() == []


def test_topics_are_created_as_configured(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.config["topics"]["partitions"] = 5
    stack.ingest()
    found = until(lambda: topics(stack.broker.bootstrap, stack.prefix), 10, "topics")
    assert found[stack.events] == 5


def test_idle_connections_cost_nothing_new(stack: Stack, receiver) -> None:
    """Deliveries reuse connections: far fewer connections than deliveries."""
    stack.add_instance(receiver, concurrency=8)
    ingest, _ = stack.ingest(), stack.relay()
    _, load = feed(ingest.port, 500, connections=8)
    load.finish(30)
    receiver.wait_for(500, 30)
    assert receiver.connections() <= 8
    hold(0.3, lambda: receiver.count() == 500, "no delivery beyond the events")
    assert KEY not in stack.programs[1].log()
