"""Detached subscriptions: their events wait in the log as one record, others flow, and all
arrive once they are back; objects keep their order meanwhile, whatever happens to the relay."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource
from support import box
from support.kafka_log import read_topic
from support.load import Load
from support.programs import run
from support.receiver import Delivery, Rule
from support.stack import INSTANCE, Stack, feed, judge
from support.wait import hold, until

OTHER = INSTANCE + 1


def backlog(relay) -> dict:
    return json.loads(relay.get("/api/v1/status")[1])["backlog"]


def counts(relay, **wanted: int) -> None:
    """Waits until the status page counts so many backlogs."""

    def so() -> bool:
        found = backlog(relay)
        return all(found[name] == value for name, value in wanted.items())

    try:
        until(so, 60, f"status says {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {backlog(relay)}") from None


def taken(deliveries: list[Delivery]) -> list[Delivery]:
    return [d for d in deliveries if 200 <= d.status < 300]


def order_breaks(deliveries: list[Delivery], bodies: list[bytes]) -> list[str]:
    """Objects of which a newer event was taken before an older one."""
    number = {box.provider_id(raw): n for n, raw in enumerate(bodies)}
    last: dict[str, int] = {}
    seen: set[str] = set()
    wrong = []
    for delivery in sorted(taken(deliveries), key=lambda d: d.at):
        raw = json.loads(delivery.body)["message"]["raw"]
        if raw["id"] in seen:
            continue
        seen.add(raw["id"])
        thing = raw["source"]["id"]
        if number[raw["id"]] < last.get(thing, -1):
            wrong.append(f"{thing}: {number[raw['id']]} after {last[thing]}")
        last[thing] = max(number[raw["id"]], last.get(thing, -1))
    return wrong


def test_dead_endpoint_waits_as_one_record_while_others_flow(
    stack: Stack, receiver, report
) -> None:
    stack.config["detach"] = {"after": 100, "sweep_interval": "200ms"}
    stack.config["retry"] = {"delays": ["1s", "5s", "10s", "30s", "60s"], "jitter": 0}
    stack.add_instance(receiver, path="/dead")
    stack.add_instance(receiver, OTHER, "/live", user="other")
    receiver.answer("/dead", Rule(close=True))
    ingest = stack.ingest()
    relay = stack.relay()
    waiting, dead_load = feed(ingest.port, 2000, connections=8)
    dead_load.finish(60)
    flowing, live_load = feed(ingest.port, 500, OTHER, first=5000, connections=8)
    live_load.finish(60)
    receiver.wait_for(500, 60, "/live")
    counts(relay, detached=1)
    # No event of the dead subscriber holds an offset back.
    stack.wait_committed(60)
    records = read_topic(stack.broker.bootstrap, stack.prefix + "state")
    cursors = [r for r in records if r.key != b"owner"]
    parked = relay.metric("eventrelay_relay_parked_total")
    assert len(cursors) <= 20, [r.value for r in cursors]
    assert parked <= 150
    receiver.answer("/dead", None)
    until(lambda: len(taken(receiver.deliveries("/dead"))) >= 2000, 120, "the backlog arrives")
    counts(relay, detached=0, attached=0)
    hold(1.0, lambda: len(taken(receiver.deliveries("/dead"))) == 2000, "nothing comes twice")
    for path, bodies in (("/dead", waiting), ("/live", flowing)):
        verdict = judge(taken(receiver.deliveries(path)), bodies)
        assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, []), path
    report(f"{len(cursors)} state records, {parked:.0f} parked for 2000 events of a dead endpoint")


def test_slow_endpoint_is_served_from_the_log_over_restarts(stack: Stack, receiver) -> None:
    stack.config["detach"] = {"after": 50, "sweep_interval": "200ms"}
    stack.add_instance(receiver, concurrency=4)
    # So many that some share the partition of the first.
    for number in range(1, 25):
        stack.add_instance(receiver, number=number, path="/other")
    receiver.answer("/cb", Rule(delay=0.01))
    ingest = stack.ingest()
    bodies, load = feed(ingest.port, 1500, connections=8)
    load.finish(60)
    # Behind all those: for their sake it is detached.
    others = []
    for number in range(1, 25):
        more, load = feed(ingest.port, 5, instance=number, first=1500 + 5 * number, connections=1)
        load.finish(60)
        others += more
    relay = stack.relay()
    receiver.wait_for(120, 60, "/other")
    assert receiver.count("/cb") < 1500
    until(lambda: relay.said("subscription detached"), 10, "it to be detached")
    for wanted in (200, 500, 900):
        receiver.wait_for(wanted, 60, "/cb")
        assert relay.end()[0] == 0
        relay = stack.relay()
    receiver.wait_for(1500, 120, "/cb")
    counts(relay, detached=0)
    verdict = judge(receiver.deliveries(), bodies + others)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def test_objects_keep_their_order_over_failures_restart_and_kill(
    stack: Stack, receiver, report
) -> None:
    stack.config["retry"] = {"delays": ["300ms", "1s", "2s", "5s"], "jitter": 0}
    stack.config["kafka"]["session.timeout.ms"] = 6000
    stack.add_instance(receiver, ordering="object", concurrency=8)
    ingest = stack.ingest()
    objects = [str(9000 + n) for n in range(40)]
    bodies = [box.body(n, object_id=objects[n % len(objects)]) for n in range(1200)]
    requests = [box.v2_request(INSTANCE, raw) for raw in bodies]
    # One connection, so the events are accepted in this order.
    load = Load(ingest.port, requests, connections=1)
    load.start()
    load.finish(90)
    relay = stack.relay()
    receiver.answer("/cb", Rule(status=500, times=8))
    receiver.wait_for(150, 60)
    receiver.answer("/cb", Rule(status=500, times=6))
    receiver.wait_for(350, 60)
    assert relay.end()[0] == 0
    relay = stack.relay()
    receiver.answer("/cb", Rule(status=500, times=6))
    receiver.wait_for(700, 60)
    os.kill(relay.pid, signal.SIGKILL)
    relay.kill()
    relay = stack.relay()
    receiver.answer("/cb", Rule(status=500, times=6))
    names = {box.provider_id(raw) for raw in bodies}

    def arrived() -> bool:
        seen = {json.loads(d.body)["message"]["raw"]["id"] for d in taken(receiver.deliveries())}
        return seen == names

    until(arrived, 120, "every event arrives", pause=0.5)
    counts(relay, blocked=0)
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.wrong) == ([], [])
    assert order_breaks(receiver.deliveries(), bodies) == []
    report(f"{verdict.doubles} doubles after a SIGKILL among 1200 ordered events")


def test_gone_is_switched_off_and_on_again_by_hand(stack: Stack, receiver) -> None:
    stack.add_instance(receiver, concurrency=1)
    ingest = stack.ingest()
    relay = stack.relay()
    receiver.answer("/cb", Rule(status=410, times=1))
    bodies, load = feed(ingest.port, 50, connections=1)
    load.finish(30)
    counts(relay, paused=1)
    came = receiver.count()
    assert relay.end()[0] == 0
    relay = stack.relay()
    counts(relay, paused=1)
    more, load = feed(ingest.port, 20, first=50, connections=1)
    load.finish(30)
    stack.wait_committed()
    hold(1.0, lambda: receiver.count() == came, "nothing is sent to who is off")
    assert relay.get("/api/v1/subscriptions/on?id=999", "POST")[0] == 404
    code, text = relay.get(f"/api/v1/subscriptions/on?id={INSTANCE}", "POST")
    assert (code, json.loads(text)["changed"]) == (200, True)
    until(lambda: len(taken(receiver.deliveries())) >= 69, 60, "all but the dead one arrive")
    counts(relay, paused=0, detached=0)
    dead = read_topic(stack.broker.bootstrap, stack.prefix + "dead")
    assert [r.headers["er-reason"] for r in dead] == ["gone"]
    given_up = {box.provider_id(r.value) for r in dead}
    rest = [raw for raw in bodies + more if box.provider_id(raw) not in given_up]
    verdict = judge(taken(receiver.deliveries()), rest)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def test_what_the_log_will_soon_forget_goes_to_the_dead_letters(stack: Stack, receiver) -> None:
    stack.add_instance(receiver, concurrency=1)
    ingest = stack.ingest()
    admin = AdminClient({"bootstrap.servers": stack.broker.bootstrap, "log_level": 0})
    kept = ConfigResource("topic", stack.events, set_config={"retention.ms": "20000"})
    for done in admin.alter_configs([kept]).values():
        done.result(10)

    def applied() -> bool:
        (answer,) = admin.describe_configs([ConfigResource("topic", stack.events)]).values()
        return answer.result(10)["retention.ms"].value == "20000"

    until(applied, 20, "the broker keeps it for 20 s", pause=0.2)
    relay = stack.relay()
    receiver.answer("/cb", Rule(status=410))
    bodies, load = feed(ingest.port, 30, connections=1)
    load.finish(30)
    counts(relay, paused=1)
    until(lambda: relay.metric("eventrelay_relay_log_start_alerts") == 1, 60, "an alert")

    def expired() -> bool:
        return len(read_topic(stack.broker.bootstrap, stack.prefix + "dead")) >= 30

    until(expired, 60, "the rest is in the dead letters", pause=0.5)
    dead = read_topic(stack.broker.bootstrap, stack.prefix + "dead")
    assert {r.value for r in dead} == set(bodies) and len(dead) == 30
    classes = [r.headers["er-class"] for r in dead]
    assert classes.count("pipeline") >= 28
    assert relay.metric("eventrelay_relay_rescued_total") == classes.count("pipeline")
    assert relay.metric("eventrelay_relay_expired_offsets_total") == 0


def test_backlogs_are_shown_and_nothing_waiting_is_no_sample(
    stack: Stack, receiver
) -> None:
    stack.add_instance(receiver)
    stack.add_instance(receiver, OTHER, "/other")
    silent = stack.add_instance(receiver, OTHER + 1, "/silent")
    ingest = stack.ingest()
    relay = stack.relay()
    # As the relay has been told, nobody wants its events any more.
    silent["configuration"]["event.notification.enabled"] = False
    stack.write()
    relay.reload()
    path = f"/api/v1/subscriptions/{{}}?id={INSTANCE}"
    until(lambda: relay.get(path.format("off"), "POST")[0] == 200, 20, "it to be paused")
    begun = time.time()
    bodies, load = feed(ingest.port, 290, connections=4)
    load.finish(30)
    flowing, load = feed(ingest.port, 10, OTHER, first=1000)
    load.finish(30)
    receiver.wait_for(10, 20, "/other")
    feed(ingest.port, 7, OTHER + 1, first=2000)[1].finish(30)
    stack.wait_committed()
    unmatched = "eventrelay_relay_unmatched_total"
    until(lambda: relay.metric(unmatched + '{reason="no_subscription"}') == 7, 20, "unmatched")
    assert relay.metric(unmatched) == 7
    name = "eventrelay_relay_backlog_events"
    # Records of others that share its partition are counted with its own.
    until(lambda: 290 <= (relay.metric(name) or 0) <= 300, 20, "the backlog", pause=0.2)
    waiting = int(relay.metric(name))
    series = f'eventrelay_relay_subscription_backlog_events{{subscription="{INSTANCE}"}}'
    assert relay.metric(series) == waiting
    oldest = relay.metric("eventrelay_relay_backlog_oldest_timestamp_seconds")
    assert begun - 2 <= oldest <= time.time()
    age = f'eventrelay_relay_subscription_oldest_pending_seconds{{subscription="{INSTANCE}"}}'
    assert 0 < relay.metric(age) <= time.time() - begun + 2
    shown = run("eventrelay", "status", "--admin", f"127.0.0.1:{relay.admin}").stdout.decode()
    assert str(waiting) in shown and str(INSTANCE) in shown
    assert relay.get(path.format("on"), "POST")[0] == 200
    receiver.wait_for(290, 60, "/cb")
    until(lambda: relay.metric(name) == 0, 20, "no backlog", pause=0.2)
    page = relay.get("/metrics")[1]
    for gauge in (
        "backlog_oldest_timestamp",
        "oldest_pending_timestamp",
        "oldest_unread_timestamp",
    ):
        assert f"\neventrelay_relay_{gauge}_seconds " not in page, gauge
    assert f'subscription="{INSTANCE}"' not in page
    for path, sent in (("/cb", bodies), ("/other", flowing)):
        verdict = judge(taken(receiver.deliveries(path)), sent)
        assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def switch(relay, word: str) -> None:
    path = f"/api/v1/subscriptions/{word}?id={INSTANCE}"
    until(lambda: relay.get(path, "POST")[0] == 200, 20, f"the subscription to be {word}")


@pytest.mark.parametrize("restart", [False, True])
def test_what_a_provider_sends_again_is_folded_in_a_catch_up_read_too(
    stack: Stack, receiver, restart: bool
) -> None:
    """Delivered or not, before the subscription left or after: each event comes once."""
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    first, load = feed(ingest.port, 5, connections=1)
    load.finish(30)
    receiver.wait_for(5, 20)
    switch(relay, "off")
    bodies, load = feed(ingest.port, 60, first=100, connections=4)
    load.finish(30)
    stack.wait_committed()
    # Of the first ones nothing is known after a restart; all others stand in the log twice.
    again = bodies if restart else first + bodies
    for _ in range(2):
        load = Load(ingest.port, [box.v2_request(INSTANCE, raw) for raw in again], connections=4)
        load.start()
        load.finish(30)
    stack.wait_committed()
    if restart:
        assert relay.end()[0] == 0
        relay = stack.relay()
    switch(relay, "on")
    receiver.wait_for(65, 30)
    until(lambda: backlog(relay)["paused"] == 0 and backlog(relay)["events"] == 0, 20, "no backlog")
    hold(2)
    verdict = judge(taken(receiver.deliveries()), first + bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
