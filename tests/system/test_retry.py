"""Events that are not taken: through the delay topics, into the dead letters, byte for byte; held
while neither can be written; and what a crash between the two costs."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from email.utils import formatdate

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource
from support import box
from support.kafka_log import Record, read_topic
from support.receiver import Rule
from support.stack import INSTANCE, Stack, feed, judge
from support.wait import hold, until

DELAYED = ["er-sub", "er-attempt", "er-due", "er-first-failure", "er-reason"]


def records(stack: Stack, topic: str, count: int, seconds: float = 30.0) -> list[Record]:
    """The records of one topic, once there are `count`."""

    def enough() -> list[Record] | None:
        found = read_topic(stack.broker.bootstrap, stack.prefix + topic)
        return found if len(found) >= count else None

    return until(enough, seconds, f"{count} records in {topic}", pause=0.1)


def send(stack: Stack, count: int, first: int = 0) -> list[bytes]:
    """Sends events; returns the bodies, all of which were accepted."""
    ingest = next(p for p in stack.programs if p.name == "eventrelay-ingest")
    bodies, load = feed(ingest.port, count, first=first, connections=1)
    load.finish(20)
    assert all(answer.status == 202 for answer in load.answers)
    return bodies


def set_topic(stack: Stack, topic: str, **properties: str) -> None:
    """Replaces what is configured of a topic."""
    admin = AdminClient({"bootstrap.servers": stack.broker.bootstrap, "log_level": 0})
    resource = ConfigResource("topic", stack.prefix + topic, set_config=properties)
    for done in admin.alter_configs([resource]).values():
        done.result(10)


def test_retry_goes_through_the_delay_topics_and_holds_no_offset(stack: Stack, receiver) -> None:
    stack.config["retry"] = {"delays": ["500ms", "3s"], "jitter": 0}
    stack.add_instance(receiver)
    receiver.answer("/cb", Rule(status=500, times=2))
    stack.ingest()
    relay = stack.relay()
    bodies = send(stack, 1)
    receiver.wait_for(2, 20)
    # The second failure waits for 3 s, and its event is committed long before that.
    stack.wait_committed(2.5)
    assert receiver.count() == 2
    receiver.wait_for(3, 20)
    deliveries = receiver.deliveries()
    assert [d.status for d in deliveries] == [500, 500, 200]
    assert [d.headers.get("eventrelay-attempt") for d in deliveries] == [None, "2", "3"]
    assert deliveries[1].at - deliveries[0].at >= 0.5
    assert deliveries[2].at - deliveries[1].at >= 3
    assert judge(deliveries, bodies).wrong == []

    (event,) = stack.records()
    parked = [records(stack, f"retry.{step}", 1) for step in ("500ms", "3s")]
    assert [len(found) for found in parked] == [1, 1]
    for attempt, step, (record,) in zip((1, 2), (500, 3000), parked):
        assert record.value == event.value == bodies[0]
        assert record.key == event.key == str(INSTANCE).encode()
        assert record.partition == event.partition
        assert record.header_names == event.header_names + DELAYED
        assert {n: record.headers[n] for n in event.header_names} == event.headers
        assert record.headers["er-sub"] == str(INSTANCE)
        assert record.headers["er-attempt"] == str(attempt)
        assert record.headers["er-reason"] == "http_5xx"
        first, due = int(record.headers["er-first-failure"]), int(record.headers["er-due"])
        assert first >= int(event.headers["er-received"])
        assert due >= first + step
    assert parked[0][0].headers["er-first-failure"] == parked[1][0].headers["er-first-failure"]
    assert relay.metric("eventrelay_relay_parked_total") == 2
    lines = [json.loads(record.value) for record in records(stack, "attempts", 3)]
    assert [(x["attempt"], x["outcome"], x["next"]) for x in lines] == [
        (1, "http_5xx", "retry"),
        (2, "http_5xx", "retry"),
        (3, "ok", "done"),
    ]
    assert {x["event"] for x in lines} == {event.headers["er-id"]}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(stack: Stack, receiver, form: str) -> None:
    stack.config["retry"] = {"delays": ["100ms", "10s", "30s"], "jitter": 0}
    stack.add_instance(receiver)
    stack.ingest()
    stack.relay()
    end = int(time.time()) + 8
    value = "4" if form == "seconds" else formatdate(end, usegmt=True)
    not_before = time.monotonic() + (end - time.time())
    receiver.answer("/cb", Rule(status=503, headers=f"Retry-After: {value}\r\n", times=1))
    send(stack, 1)
    receiver.wait_for(2, 30)
    first, second = receiver.deliveries()
    assert second.status == 200
    assert second.at - first.at >= 4 if form == "seconds" else second.at >= not_before - 0.01
    assert len(records(stack, "retry.10s", 1)) == 1
    assert read_topic(stack.broker.bootstrap, stack.prefix + "retry.100ms") == []


def test_what_is_given_up_is_dead_with_its_bytes_and_history(stack: Stack, receiver) -> None:
    stack.config["retry"] = {"delays": ["100ms", "200ms"], "jitter": 0}
    for number, path in enumerate(("/gone", "/fatal", "/bad")):
        stack.add_instance(
            receiver, INSTANCE + number, path, user=f"u{number}", fatal_statuses=[422]
        )
    for path, status in (("/gone", 410), ("/fatal", 422), ("/bad", 400)):
        receiver.answer(path, Rule(status=status))
    ingest = stack.ingest()
    relay = stack.relay()
    bodies = []
    for number in range(3):
        more, load = feed(ingest.port, 1, INSTANCE + number, first=number, connections=1)
        load.finish(20)
        bodies += more
    dead = {int(r.headers["er-sub"]) - INSTANCE: r for r in records(stack, "dead", 3)}
    events = {int(record.headers["er-instance"]) - INSTANCE: record for record in stack.records()}
    expected = {0: ("gone", "1"), 1: ("http_4xx", "1"), 2: ("http_4xx", "3")}
    for number, (reason, attempts) in expected.items():
        record, event = dead[number], events[number]
        assert record.value == event.value == bodies[number]
        assert record.key == event.key and record.partition == event.partition
        assert {n: record.headers[n] for n in event.header_names} == event.headers
        assert record.headers["er-reason"] == reason
        assert record.headers["er-attempt"] == attempts
        assert record.headers["er-class"] == "subscriber"
        assert "er-due" not in record.headers
        assert int(record.headers["er-first-failure"]) >= int(event.headers["er-received"])
    assert Counter(d.path for d in receiver.deliveries()) == {"/gone": 1, "/fatal": 1, "/bad": 3}
    stack.wait_committed()
    assert relay.metric('eventrelay_relay_dead_letters_total{reason="gone"}') == 1
    assert relay.metric('eventrelay_relay_dead_letters_total{reason="http_4xx"}') == 2


@pytest.mark.parametrize("topic,status", [("retry.200ms", 500), ("dead", 422)])
def test_unwritable_topic_holds_its_partition_and_loses_nothing(
    stack: Stack, receiver, topic: str, status: int
) -> None:
    stack.config["retry"] = {"delays": ["200ms", "30s"], "jitter": 0}
    stack.config["kafka"]["linger.ms"] = 20
    stack.add_instance(receiver, fatal_statuses=[422])
    stack.ingest()
    relay = stack.relay()
    # With this setting the broker refuses every record that is older than 0 ms: each, since it has
    # lingered.
    set_topic(stack, topic, **{"message.timestamp.before.max.ms": "0"})
    receiver.answer("/cb", Rule(status=status, times=1))
    bodies = send(stack, 1)
    receiver.wait_for(1, 20)

    def told() -> bool:
        code, text = relay.get("/readyz")
        return code == 503 and "waits for a write" in text

    until(told, 20, "readiness says that a partition waits for a write")
    assert relay.metric("eventrelay_relay_blocked_partitions") == 1
    assert '"held_back":"write"' in relay.get("/api/v1/status")[1].replace(": ", ":")
    bodies += send(stack, 5, first=1)
    # Nothing of that partition is read or committed meanwhile.
    hold(1.5, lambda: receiver.count() == 1, "nothing more is delivered")
    set_topic(stack, topic)
    receiver.wait_for(6 if topic == "dead" else 7, 60)
    until(lambda: relay.get("/readyz")[0] == 200, 20, "ready again")
    stack.wait_committed()
    verdict = judge(receiver.deliveries(), bodies[1:] if topic == "dead" else bodies)
    assert (verdict.lost, verdict.doubles) == ([], 0)
    if topic == "dead":
        assert len(records(stack, "dead", 1)) == 1


@pytest.mark.parametrize("place", ["before-park", "after-park-ack", "before-dead", "before-mark"])
def test_killed_around_the_end_of_an_attempt_nothing_is_lost(
    stack: Stack, receiver, place: str, report
) -> None:
    stack.config["retry"] = {"delays": ["200ms", "30s"], "jitter": 0}
    stack.config["kafka"]["session.timeout.ms"] = 6000
    stack.add_instance(receiver, fatal_statuses=[422])
    stack.ingest()
    relay = stack.relay(env={"EVENTRELAY_FAILPOINT": place})
    receiver.answer("/cb", Rule(status=422 if place == "before-dead" else 500, times=1))
    if place == "before-mark":
        receiver.answer("/cb", None)
    bodies = send(stack, 10)
    until(lambda: not relay.alive(), 20, f"killed at {place}")
    assert relay.process.returncode == -signal.SIGKILL
    stack.relay()
    stack.wait_committed()

    def taken() -> bool:
        return not judge(receiver.deliveries(), bodies).lost

    until(taken, 30, "every event is delivered", pause=0.1)
    stack.wait_committed()
    verdict = judge(receiver.deliveries(), bodies)
    assert verdict.wrong == []
    assert verdict.doubles <= len(bodies)
    names = {box.provider_id(raw) for raw in bodies}
    report(f"{len(names)} events, killed at {place}: 0 lost, {verdict.doubles} double")
